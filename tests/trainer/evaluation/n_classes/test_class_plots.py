import io
import warnings
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from tests.trainer.evaluation.n_classes.answers import (
    document_of,
    evidence_of,
    made_up_answers,
    names_of,
)
from trainer.evaluation.n_classes.plots import CAPTIONS, draw_pictures
from trainer.evaluation.n_classes.short_names import short


@pytest.mark.parametrize(
    ("num_classes", "channels", "has_pairs"),
    [
        (2, 1, False),
        (13, 3, True),
        *(pytest.param(*each, marks=pytest.mark.slow) for each in ((12, 3, False), (100, 1, True))),
    ],
)
def test_pictures_show_something(num_classes: int, channels: int, has_pairs: bool) -> None:
    names = ["$x_1^2$", "播放", *names_of(num_classes)][:num_classes]
    evidence = evidence_of(made_up_answers(300, num_classes, channels=channels), names)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pictures = draw_pictures(document_of(evidence, evidence), evidence)
    assert list(pictures) == [name for name in CAPTIONS if has_pairs or name != "confused_pairs"]
    for picture in pictures.values():
        with Image.open(io.BytesIO(picture)) as image:
            assert image.width >= 300
            assert max(image.size) <= 3000
            assert image.getcolors(20) is None  # There are more.


def test_what_was_not_measured_is_not_drawn() -> None:
    answers = replace(made_up_answers(40, 20, skill=100), by_share=None)
    evidence = evidence_of(answers, names_of(20))
    pictures = draw_pictures(document_of(evidence, None), evidence)
    assert not {"accuracy_by_share", "confused_pairs"} & pictures.keys()
    assert {"confusion_matrix", "recall_by_class", "worst"} <= pictures.keys()


def test_one_record_has_pictures_too() -> None:
    evidence = evidence_of(made_up_answers(1, 3), names_of(3))
    assert draw_pictures(document_of(evidence, None), evidence)


def test_frames_are_those_of_the_worst_after_all_views() -> None:
    answers = made_up_answers(200, 3)
    evidence = evidence_of(answers, names_of(3))
    flipped = answers.probabilities.copy()
    flipped[:] = 1 / 3
    certain = np.argsort(answers.probabilities[np.arange(200), answers.labels])[-16:]
    flipped[certain, answers.labels[certain]] = -10  # None of these had its frames kept.
    evidence.add_view(0, flipped)
    assert set(evidence.worst().places) == set(certain)
    assert "worst" not in draw_pictures(document_of(evidence, None), evidence)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("walk", "walk"), ("a\nb", "a b"), ("0123456789abcde", "0123…bcde"), ("123456789", "123456789")],
)
def test_long_names_lose_their_middle(name: str, expected: str) -> None:
    assert short(name, 9) == expected
