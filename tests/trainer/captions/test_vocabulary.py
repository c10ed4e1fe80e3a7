"""The vocabulary, and captions as tokens in Python and in the graph."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from model.captions import END, PAD, SPECIAL, UNKNOWN
from tests.trainer.captions import data_sets
from trainer.captions.caption_counts import CaptionCounts, caption_counts
from trainer.input.frame_view import FrameView
from trainer.input.split_files import SplitFiles, read_manifest, split_files
from trainer.input.vocabulary import Vocabulary, words_of

CAPTIONS = [["a dog runs", "a dog"], ["a cat runs fast"], ["the cat"]]


def _counts(captions: list[list[str]] = CAPTIONS) -> CaptionCounts:
    return CaptionCounts.of(np.array([text.encode() for text in each], object) for each in captions)


def test_words_are_ordered_by_count_and_then_alphabetically() -> None:
    counts = _counts()
    assert counts.vocabulary(1, 9).words == (*SPECIAL, "a", "cat", "dog", "runs", "fast", "the")
    assert counts.vocabulary(2, 9).words == (*SPECIAL, "a", "cat", "dog", "runs")
    assert (counts.num_clips, counts.num_captions, counts.num_empty) == (3, 4, 0)
    assert counts.mean_tokens(9) == (4 + 3 + 5 + 3) / 4
    assert counts.mean_tokens(2) == 3
    assert _counts([["a"], []]).num_empty == 1


def test_the_digest_is_of_words_and_their_order() -> None:
    digests = {Vocabulary((*SPECIAL, *words), 3).sha256 for words in (("a", "b"), ("b", "a"), ("ab",))}
    assert len(digests) == 3


@pytest.mark.parametrize("max_words", [1, 3, 8])
def test_the_graph_gives_what_python_gives(max_words: int) -> None:
    words = [f"w{number}" for number in range(500)] + ["naïve", "猫", "don't", "<end>", "<unknown>"]
    vocabulary = Vocabulary((*SPECIAL, *words), max_words)
    texts = [
        *(
            "",
            " ",
            "w0",
            "w499 w7  w3",
            "no w1 one",
            "naïve 猫 don't\tw5\nw6",
            "<pad> <start> <end> <unknown>",
        ),
        " ".join(words),
    ]
    expected = [vocabulary.tokens(text) for text in texts]
    np.testing.assert_array_equal(vocabulary.tokens_in_graph(tf.constant(texts)), expected)
    compiled = tf.function(vocabulary.tokens_in_graph)(tf.constant(texts))
    np.testing.assert_array_equal(compiled, expected)
    assert expected[2] == [len(SPECIAL), END, *[PAD] * (max_words - 1)]
    assert expected[4][0] == UNKNOWN
    for text, tokens in zip(texts[:3], expected, strict=False):
        assert vocabulary.text(tokens) == " ".join(words_of(text)[:max_words])


def test_words_are_what_ascii_spaces_separate() -> None:
    assert words_of(" a\u00a0b  c\u3000d \n") == ["a\u00a0b", "c\u3000d"]
    assert words_of("a don't 播放") == ["a", "don't", "播放"]
    assert words_of("") == []


def test_tokens_go_through_a_serialized_graph() -> None:
    """A data service gets the graph of a data set: it must hold nothing but constants."""
    vocabulary = Vocabulary((*SPECIAL, "a", "b"), 3)
    dataset = tf.data.Dataset.from_tensor_slices(["a b", "b"]).batch(2).map(vocabulary.tokens_in_graph)
    graph = dataset._as_serialized_graph().numpy()
    assert b"HashTable" not in graph
    assert dataset.as_numpy_iterator().next().tolist() == [[4, 5, END, PAD], [5, END, PAD, PAD]]


def test_the_captions_of_a_split_are_counted(tmp_path: Path) -> None:
    files = _train_files(data_sets.described_balls(tmp_path / "d"))
    counts = caption_counts(files.spec, files.paths)
    assert (counts.num_clips, counts.num_captions) == (240, 360)
    assert counts.counts["ball"] == 360
    assert counts.lengths == {3: 240, 6: 120}


def test_of_several_captions_one_is_drawn_by_seed_and_number() -> None:
    captions = tf.constant(["one", "two", "three"])

    def chosen(view: FrameView) -> list[bytes]:
        return [view.choose_caption(captions, tf.constant(number, tf.int64)).numpy() for number in range(60)]

    view = FrameView(4, is_random=True, seed=1)
    first = chosen(view)
    assert set(first) == {b"one", b"two", b"three"}
    assert chosen(view) == first
    assert chosen(FrameView(4, is_random=True, seed=2)) != first
    assert set(chosen(view.judged())) == {b"one"}


def _train_files(directory: Path) -> SplitFiles:
    return split_files(str(directory), read_manifest(str(directory)), "train")
