"""The network that describes clips: an encoder of every frame, an LSTM over time, and a decoder of words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
from keras import layers

from model.captions.decoder import CaptionDecoder
from model.execution import by_xla
from model.frames.encoders import FrameEncoder, build_encoder
from model.frames.video_classifier import clip_inputs
from model.recurrent import ProjectedLSTM


@dataclass(frozen=True)
class CaptionerOptions:
    """Options of a network that describes clips.

    Attributes:
        architecture, precision, use_cudnn, weights, is_frozen: see
            `model.frames.VideoClassifierOptions`.
        units: of both LSTMs, of a frame's features, and numbers that stand for a word.
        attention, tied: see `CaptionDecoder`.
        highest: value of white in frames.
    """

    architecture: str = "conv"
    units: int = 128
    precision: str = "float32"
    use_cudnn: bool | str | None = None
    weights: str | None = None
    is_frozen: bool = False
    attention: bool = False
    tied: bool = False
    highest: int = 255


def build_captioner(
    frame_shape: tuple[int, int, int], words: Sequence[str], options: CaptionerOptions
) -> keras.Model:
    """Build a network that describes clips, not compiled.

    Args:
        frame_shape: (height, width, channels).
        words: the tokens by number; see `CaptionDecoder`.
        options: the network.

    Returns:
        A model from ``{"frames": uint8 (batch, timesteps, H, W, C), "length": int32 (batch,), "words": int32
        (batch, L)}`` to the probabilities of the token at each place, float32 (batch, L, V). ``words`` are
        the tokens before each place. Frames from number ``length`` on are padding.

    Raises:
        ValueError: see `model.frames.encoders.build_encoder`.
    """
    dtype, units = options.precision, options.units
    use_cudnn = options.use_cudnn
    if use_cudnn is None:
        use_cudnn = False if by_xla() else "auto"
    inputs = clip_inputs(None, frame_shape)
    inputs["words"] = layers.Input((None,), dtype="int32", name="words")
    encoder = FrameEncoder(
        build_encoder(options.architecture, frame_shape, dtype, options.weights, options.highest),
        dtype=dtype,
        name="encoder",
    )
    encoder.trainable = not options.is_frozen
    features = layers.Dense(units, activation="relu", dtype=dtype, name="features")(encoder(inputs["frames"]))
    lstm = ProjectedLSTM(units, return_sequences=True, dtype=dtype, use_cudnn=use_cudnn, name="lstm")
    # What a frame shows by itself is added to what the LSTM makes of all so far, as in He et al. (2016): what
    # has to go through the LSTM alone is learned several times as slowly.
    states = layers.Add(dtype=dtype, name="states")([lstm(features), features])
    decoder = CaptionDecoder(
        words, units, units, options.attention, options.tied, dtype=dtype, name="decoder"
    )
    logits = decoder(inputs["words"], states, inputs["length"])
    probabilities = layers.Activation("softmax", dtype="float32", name="probabilities")(logits)
    return keras.Model(inputs, probabilities, name="captioner")


def decoder_of(captioner: keras.Model) -> CaptionDecoder:
    """The decoder of a captioner."""
    decoder: CaptionDecoder = captioner.get_layer("decoder")
    return decoder


def clip_states(captioner: keras.Model, frames: Any) -> Any:
    """Symbolic states of the frames, (batch, timesteps, units), with the captioner's weights.

    Args:
        captioner: as `build_captioner` returns it.
        frames: symbolic frames, as it takes them.
    """
    return keras.Model(captioner.input["frames"], captioner.get_layer("states").output)(frames)
