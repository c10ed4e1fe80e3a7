from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from pipeline.dataset import duplicates
from pipeline.dataset.duplicates import Duplicates, HashWriter, content_hashes, count_in_range
from pipeline.generate import generate
from pipeline.moving_line.definition import MovingLine, contents_of
from pipeline.moving_line.lines import sample_sequences
from pipeline.verification.dataset_check import verify
from tests.conftest import SPLITS, make_dataset


def _keys(seed: int, split: str, image_size: int, count: int) -> list[bytes]:
    paths, labels = sample_sequences(seed, split, image_size, 0, count)
    return [path.tobytes() + bytes([label]) for path, label in zip(paths, labels, strict=True)]


def _plainly(keys: dict[str, list[bytes]]) -> Duplicates:
    within = {split: sum(n - 1 for n in Counter(found).values()) for split, found in keys.items()}
    across = {
        (one, two): sum(key in set(keys[one]) for key in keys[two])
        for one, two in [("train", "validation"), ("train", "test"), ("validation", "test")]
    }
    return Duplicates(within, across)


@pytest.mark.parametrize("image_size", [2, 5, 8, 9, 16])
def test_the_manifest_counts_what_a_plain_count_finds(tmp_path: Path, image_size: int) -> None:
    counts = {"train": 900, "validation": 300, "test": 400}
    settings = MovingLine(1, image_size, "path", *counts.values())  # type: ignore[arg-type]
    manifest, _ = generate(settings, str(tmp_path / "d"), direct_num_workers=1)
    expected = _plainly({split: _keys(1, split, image_size, n) for split, n in counts.items()})
    assert manifest.duplicates == expected
    if image_size <= 5:
        assert min(*expected.within.values(), *expected.across.values()) > 0
    if image_size == 16:
        assert max(*expected.within.values(), *expected.across.values()) == 0


@pytest.mark.parametrize("ranges", [1, 2, 7])
@pytest.mark.parametrize("per_run", [50, 1000])
def test_runs_and_ranges_have_no_influence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ranges: int, per_run: int
) -> None:
    monkeypatch.setattr(duplicates, "HASHES_PER_RUN", per_run)
    counts = {"train": 400, "validation": 70, "test": 90}
    paths: dict[str, list[str]] = {}
    for split, count in counts.items():
        rows, labels = sample_sequences(1, split, 4, 0, count)
        paths[split] = [str(tmp_path / f"{split}-{part}") for part in range(2)]
        for path, start, stop in zip(paths[split], (0, count // 2), (count // 2, count), strict=True):
            with open(path, "wb") as stream, HashWriter(stream) as writer:
                for first in range(start, stop, 20):
                    block = slice(first, min(first + 20, stop))
                    writer.add(contents_of(rows[block], labels[block]))
    found = sum((count_in_range(paths, i, ranges) for i in range(ranges)), Duplicates.zero(SPLITS))
    assert found == _plainly({split: _keys(1, split, 4, n) for split, n in counts.items()})
    assert set(found.within) == set(SPLITS)


def test_hashes_of_a_million_sequences_are_distinct_and_spread() -> None:
    hashes = content_hashes(contents_of(*sample_sequences(0, "train", 50, 0, 1_000_000)))
    ordered = np.sort(hashes)
    assert (ordered[1:] != ordered[:-1]).all()
    tops = np.bincount((hashes >> np.uint64(56)).astype(np.int64), minlength=256)
    assert tops.max() < 1.1 * tops.mean()
    assert tops.min() > 0.9 * tops.mean()


def test_the_label_is_part_of_a_sequence() -> None:
    paths, _ = sample_sequences(0, "train", 20, 0, 100)
    left, right = (content_hashes(contents_of(paths, np.full(100, label))) for label in (0, 1))
    assert not set(left.tolist()) & set(right.tolist())


def test_small_images_repeat_sequences_and_large_ones_do_not(tmp_path: Path) -> None:
    for size, repeats in ((5, True), (50, False)):
        directory = make_dataset(tmp_path / str(size), num_train=2000, image_size=size)
        found = verify(str(directory))
        assert found.passed
        assert found.manifest is not None
        counts = found.manifest.duplicates
        assert all((n > 0) == repeats for n in [*counts.within.values(), *counts.across.values()])
