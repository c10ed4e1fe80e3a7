"""What a trained captioner does with clips: encodes them, writes their captions, and scores given ones."""

from __future__ import annotations

from dataclasses import dataclass

import keras

from model.captions import CaptionScores, WrittenCaptions, clip_states, decoder_of
from model.frames import clip_inputs
from pipeline.command_line.errors import RequestError
from trainer.input.vocabulary import Vocabulary
from trainer.run.trained_model import TrainedModel, compile_for_inference

MAX_BEAM = 100


@dataclass(frozen=True)
class Decoding:
    """How captions are written; see `model.captions.WrittenCaptions`.

    Attributes:
        beam: number of beginnings of captions that are kept; 1 writes greedily.
        length_penalty: 0 prefers short captions, 1 compares means over tokens.

    Raises:
        RequestError: if a value is wrong, with its flag.
    """

    beam: int = 1
    length_penalty: float = 1.0

    def __post_init__(self) -> None:
        if type(self.beam) is not int or not 1 <= self.beam <= MAX_BEAM:
            raise RequestError(f"--beam {self.beam}: give a whole number from 1 to {MAX_BEAM}")
        if not 0 <= self.length_penalty <= 10:
            raise RequestError(f"--length_penalty {self.length_penalty}: give a number from 0 to 10")


class CaptionModels:
    """Models that share the layers of a captioner.

    What the writer has to keep of a clip, its **memory**, is enough to score captions of it later.

    Attributes:
        vocabulary: of the captioner.
        writer: maps ``frames`` uint8 (batch, num_frames, H, W, C) and ``length`` int32 (batch,) to ``tokens``
            int32 (batch, max_words + 1) and ``log_probability`` float32 (batch,), see `WrittenCaptions`, and
            to the memory: ``states`` (batch, timesteps, units), ``memory_length`` int32 (batch,).
        scorer: maps the memory and ``tokens`` int32 (batch, max_words + 1) to ``log_probabilities`` and
            ``is_top``, see `CaptionScores`.

    Args:
        trained: a captioner.
        num_frames: of the windows; None: any.
        decoding: how captions are written.
    """

    def __init__(self, trained: TrainedModel, num_frames: int | None, decoding: Decoding) -> None:
        captioner, max_words = trained.classifier, trained.settings.max_words
        decoder = decoder_of(captioner)
        self.vocabulary = Vocabulary(decoder.words, max_words)
        _, _, *shape = captioner.input["frames"].shape
        inputs = clip_inputs(num_frames, tuple(shape))
        states, length = decoder.memory(clip_states(captioner, inputs["frames"]), inputs["length"])
        written = WrittenCaptions(decoder, max_words, decoding.beam, decoding.length_penalty)(states, length)
        outputs = {**written, "states": states, "memory_length": length}
        self.writer = compile_for_inference(keras.Model(inputs, outputs, name="writer"))
        memory = {
            "states": keras.Input(states.shape[1:], dtype=states.dtype, name="states"),
            "memory_length": keras.Input((), dtype="int32", name="memory_length"),
            "tokens": keras.Input((max_words + 1,), dtype="int32", name="tokens"),
        }
        scores = CaptionScores(decoder)(*memory.values())
        self.scorer = compile_for_inference(keras.Model(memory, scores, name="scorer"))
