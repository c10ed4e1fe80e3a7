"""The decoder of captions: given words, greedy and beam search beside plain searches, memory of a clip."""

import itertools
import math
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import ops

from model import logits_of
from model.captions import (
    END,
    PAD,
    SPECIAL,
    START,
    CaptionerOptions,
    CaptionScores,
    WrittenCaptions,
    build_captioner,
    clip_states,
    decoder_of,
)
from model.captions.writing import beam_search
from tests.runs import MULTIPLIES_BFLOAT16

SHAPE, WORDS, MAX_WORDS, PENALTY = (18, 26, 3), (*SPECIAL, "one", "two", "three"), 3, 0.7
RANDOM = np.random.default_rng(4)
CLIPS = {
    "frames": np.tile(RANDOM.integers(0, 256, (6, 5, 1, 1, 3), np.uint8), (1, 1, *SHAPE[:2], 1)),
    "length": np.array([5, 1, 2, 4, 5, 3], np.int32),
}
# All captions of at most three words.
CAPTIONS = np.array(
    [
        [*words, END, *[PAD] * (MAX_WORDS - len(words))]
        for count in range(MAX_WORDS + 1)
        for words in itertools.product(range(len(SPECIAL), len(WORDS)), repeat=count)
    ],
    np.int32,
)
NUM_TOKENS = (CAPTIONS != PAD).sum(1)

OPTIONS = [{}, {"attention": True}, {"tied": True}, {"attention": True, "tied": True}]


def _built(**options: object) -> keras.Model:
    """A captioner with large weights and few early ends, so that clips differ in their captions."""
    keras.utils.set_random_seed(1)
    model = build_captioner(SHAPE, WORDS, CaptionerOptions(units=8, **options))  # type: ignore[arg-type]
    random = np.random.default_rng(0)
    model.get_layer("features").kernel.assign(30 * model.get_layer("features").kernel)
    decoder = decoder_of(model)
    decoder.set_weights([4 * each + random.normal(0, 0.7, each.shape) for each in decoder.get_weights()])
    if not options.get("tied"):
        decoder.output_words.bias.assign([0, 0, -3, 0, 0, 0, 0])
    return model


def _before(tokens: np.ndarray) -> np.ndarray:
    return np.concatenate([np.full((len(tokens), 1), START), tokens[:, :-1]], axis=1).astype(np.int32)


def _states(model: keras.Model) -> tuple[np.ndarray, np.ndarray]:
    return ops.convert_to_numpy(clip_states(model, CLIPS["frames"])), CLIPS["length"]


def _log_probabilities(model: keras.Model, clip: int) -> np.ndarray:
    """Of every token of `CAPTIONS`, by the captioner itself."""
    rows = len(CAPTIONS)
    features = {name: np.repeat(values[clip : clip + 1], rows, axis=0) for name, values in CLIPS.items()}
    answers = model.predict_on_batch({**features, "words": _before(CAPTIONS)})
    chosen = np.take_along_axis(np.log(answers), CAPTIONS[..., None], axis=-1)[..., 0]
    result: np.ndarray = np.where(CAPTIONS == PAD, 0, chosen)
    return result


@pytest.mark.parametrize("options", OPTIONS)
def test_a_large_beam_finds_the_best_caption_of_all(options: dict[str, bool]) -> None:
    model = _built(**options)
    written = WrittenCaptions(decoder_of(model), MAX_WORDS, 40, PENALTY)(*_states(model))
    for clip, tokens in enumerate(ops.convert_to_numpy(written["tokens"])):
        scores = _log_probabilities(model, clip).sum(1)
        best = np.argmax(scores / NUM_TOKENS**PENALTY)
        assert tokens.tolist() == CAPTIONS[best].tolist()
        assert float(written["log_probability"][clip]) == pytest.approx(scores[best], rel=1e-5)
    assert np.ptp(ops.convert_to_numpy(written["log_probability"])) > 0.01


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("beam", [1, 2, 3])
def test_a_beam_is_that_of_a_plain_search(options: dict[str, bool], beam: int) -> None:
    model = _built(**options)
    states = _states(model)
    tokens, scores = map(
        ops.convert_to_numpy, beam_search(decoder_of(model), *states, MAX_WORDS, beam, PENALTY)
    )
    for clip in range(len(tokens)):
        expected = _plain_search(
            dict(zip(map(tuple, CAPTIONS), _log_probabilities(model, clip), strict=True)), beam
        )
        assert [tuple(each) for each in tokens[clip].tolist()] == [caption for caption, _ in expected]
        np.testing.assert_allclose(scores[clip], [score for _, score in expected], rtol=1e-5)
    greedy = WrittenCaptions(decoder_of(model), MAX_WORDS)(*states)
    if beam == 1:
        np.testing.assert_array_equal(ops.convert_to_numpy(greedy["tokens"]), tokens[:, 0])
        np.testing.assert_allclose(ops.convert_to_numpy(greedy["log_probability"]), scores[:, 0], rtol=1e-5)


def _plain_search(given: dict[tuple[int, ...], np.ndarray], beam: int) -> list[tuple[tuple[int, ...], float]]:
    """Beam search over lists, with the tokens' log-probabilities in all captions."""
    log_probability = {
        caption[: place + 1]: values[place]
        for caption, values in given.items()
        for place in range(caption.index(END) + 1)
    }
    kept: list[tuple[tuple[int, ...], float]] = [((), 0.0)]
    for place in range(MAX_WORDS + 1):
        words = range(len(SPECIAL), len(WORDS)) if place < MAX_WORDS else ()
        candidates = []
        for tokens, score in kept:
            if END in tokens:
                candidates.append((tokens, score))
                continue
            for word in (END, *words):
                longer = (*tokens, word)
                candidates.append((longer, score + log_probability[longer]))
        candidates.sort(key=lambda each: -each[1] / len(each[0]) ** PENALTY)
        kept = candidates[:beam]
    return [((*tokens, *[PAD] * (MAX_WORDS + 1 - len(tokens))), score) for tokens, score in kept]


@pytest.mark.parametrize("options", OPTIONS)
def test_scores_are_the_networks_also_by_what_is_kept_of_a_clip(options: dict[str, bool]) -> None:
    model = _built(**options)
    decoder, (states, length) = decoder_of(model), _states(model)
    tokens = CAPTIONS[[0, 1, 5, 13, 20, 39]]
    answers = model.predict_on_batch({**CLIPS, "words": _before(tokens)})
    chosen = np.take_along_axis(np.log(answers), tokens[..., None], axis=-1)[..., 0]
    memory = decoder.memory(states, length)
    if not options.get("attention"):
        assert memory[0].shape[1] == 1
    for kept in ((states, length), memory):
        scores = CaptionScores(decoder)(*kept, tokens)
        found = ops.convert_to_numpy(scores["log_probabilities"])
        np.testing.assert_allclose(found, np.where(tokens == PAD, 0, chosen), atol=1e-5)
        is_top = (answers.argmax(-1) == tokens) & (tokens != PAD)
        np.testing.assert_array_equal(ops.convert_to_numpy(scores["is_top"]), is_top)


@pytest.mark.parametrize("beam", [1, 3])
def test_a_caption_ends_whatever_the_network_says(beam: int) -> None:
    model = _built()
    decoder = decoder_of(model)
    bias = np.zeros(len(WORDS), np.float32)
    bias[[END, PAD, START, SPECIAL.index("<unknown>")]] = -60, 60, 60, 60
    decoder.output_words.bias.assign(bias)
    written = WrittenCaptions(decoder, MAX_WORDS, beam)(*_states(model))
    tokens = ops.convert_to_numpy(written["tokens"])
    assert (tokens[:, :MAX_WORDS] >= len(SPECIAL)).all()
    assert (tokens[:, MAX_WORDS] == END).all()
    scores = CaptionScores(decoder)(*_states(model), tokens)["log_probabilities"]
    np.testing.assert_allclose(
        ops.convert_to_numpy(written["log_probability"]), ops.convert_to_numpy(scores).sum(1), rtol=1e-5
    )


@pytest.mark.parametrize("options", OPTIONS)
def test_what_lies_behind_a_clip_or_a_word_changes_nothing(options: dict[str, bool]) -> None:
    model = _built(**options)
    words = _before(CAPTIONS[-6:])
    answers = model.predict_on_batch({**CLIPS, "words": words})
    np.testing.assert_allclose(answers.sum(-1), 1, rtol=1e-5)
    other = CLIPS["frames"].copy()
    for clip, length in zip(other, CLIPS["length"], strict=True):
        clip[length:] = 77
    later = words.copy()
    later[:, 2:] = START
    changed = model.predict_on_batch({"frames": other, "length": CLIPS["length"], "words": later})
    np.testing.assert_array_equal(changed[:, :2], answers[:, :2])
    assert not np.array_equal(changed[:, 2], answers[:, 2])


@pytest.mark.parametrize(
    "options",
    [{}, pytest.param({"precision": "mixed_bfloat16", "attention": True}, marks=MULTIPLIES_BFLOAT16)],
)
def test_a_saved_captioner_loads_with_plain_keras(tmp_path: Path, options: dict[str, object]) -> None:
    model = _built(**options)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    features = {**CLIPS, "words": _before(CAPTIONS[-6:])}
    np.testing.assert_array_equal(loaded.predict_on_batch(features), model.predict_on_batch(features))
    assert decoder_of(loaded).words == WORDS
    logits = logits_of(loaded).predict_on_batch(features)
    assert (logits.dtype, logits.shape) == (np.float32, (6, MAX_WORDS + 1, len(WORDS)))


def test_an_untrained_decoder_is_about_as_unsure_as_chance() -> None:
    keras.utils.set_random_seed(1)
    model = build_captioner(SHAPE, WORDS, CaptionerOptions(units=64))
    answers = model.predict_on_batch({**CLIPS, "words": _before(CAPTIONS[-6:])})
    assert -np.log(answers).mean() == pytest.approx(math.log(len(WORDS)), rel=0.2)
