"""The classifier of clips: an encoder of every frame, an LSTM or a mean over time, and a head."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
from keras import layers

from model.execution import by_xla
from model.frames.encoders import FrameEncoder, build_encoder
from model.frames.over_time import LastState, MeanOverTime
from model.recurrent import ProjectedLSTM


@dataclass(frozen=True)
class VideoClassifierOptions:
    """Options of a classifier of clips.

    Attributes:
        architecture: one of `model.frames.encoders.ARCHITECTURES`, or a name of `keras.applications`.
        temporal: one of `model.frames.over_time.TEMPORAL`.
        units: of the LSTM.
        precision: a Keras dtype policy: "float32", "mixed_bfloat16" or "mixed_float16". Weights and the last
            layers are float32 in all of them.
        use_cudnn: whether to use cuDNN's LSTM on a GPU, as in `keras.layers.LSTM`. None means False if XLA
            compiles, which does not support it, else "auto".
        weights: path of a file of weights for a network of `keras.applications`; None draws them.
        is_frozen: whether the encoder's weights stay as they are. BatchNormalization then uses its stored
            statistics.
    """

    architecture: str = "conv"
    temporal: str = "lstm"
    units: int = 64
    precision: str = "float32"
    use_cudnn: bool | str | None = None
    weights: str | None = None
    is_frozen: bool = False


def clip_inputs(num_frames: int | None, frame_shape: tuple[int, int, int]) -> dict[str, Any]:
    """Symbolic inputs of a classifier of clips.

    Args:
        num_frames: timesteps; None for any number.
        frame_shape: (height, width, channels).

    Returns:
        ``{"frames": uint8 (batch, timesteps, H, W, C), "length": int32 (batch,)}``.
    """
    return {
        "frames": layers.Input((num_frames, *frame_shape), dtype="uint8", name="frames"),
        "length": layers.Input((), dtype="int32", name="length"),
    }


def build_video_classifier(
    frame_shape: tuple[int, int, int], num_classes: int, options: VideoClassifierOptions
) -> keras.Model:
    """Build a classifier of clips, not compiled.

    Args:
        frame_shape: (height, width, channels).
        num_classes: N, at least 2.
        options: the network.

    Returns:
        A model from ``{"frames": uint8 (batch, timesteps, H, W, C), "length": int32 (batch,)}`` to the
        probabilities of the classes, float32 (batch, N). Frames from number ``length`` on are padding.

    Raises:
        ValueError: see `model.frames.encoders.build_encoder`.
    """
    dtype = options.precision
    use_cudnn = options.use_cudnn
    if use_cudnn is None:
        use_cudnn = False if by_xla() else "auto"
    inputs = clip_inputs(None, frame_shape)
    encoder = FrameEncoder(
        build_encoder(options.architecture, frame_shape, dtype, options.weights), dtype=dtype, name="encoder"
    )
    # Also of the encoder's own layers: they are not asked whether they train where it does not.
    encoder.trainable = not options.is_frozen
    answers = encoder(inputs["frames"])
    if options.temporal == "lstm":
        lstm = ProjectedLSTM(
            options.units, return_sequences=True, dtype=dtype, use_cudnn=use_cudnn, name="lstm"
        )
        answers = LastState(dtype=dtype, name="last_state")(lstm(answers), inputs["length"])
    else:
        answers = MeanOverTime(dtype=dtype, name="mean")(answers, inputs["length"])
    logits = layers.Dense(num_classes, dtype="float32", name="logits")(answers)
    probabilities = layers.Activation("softmax", dtype="float32", name="probabilities")(logits)
    return keras.Model(inputs, probabilities, name="video_classifier")
