"""Splits by class and by group: shares are kept, groups are not parted, no class is missing."""

import random
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import replace

import pytest

from pipeline.clips.index import Entries, Entry
from pipeline.clips.index_choices import FAIL, Rules
from pipeline.clips.sources import Source
from pipeline.clips.split_choice import choose_splits
from pipeline.command_line.errors import WorkError

SHARES = {"train": 80, "validation": 10, "test": 10}


def _counts(groups: Mapping[str, list[str]], chosen: Mapping[str, str]) -> dict[str, Counter[str]]:
    """Numbers of clips by split, by class."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for group, labels in groups.items():
        for label in labels:
            counts[label][chosen[group]] += 1
    return counts


@pytest.mark.parametrize("per_class", [3, 4, 5, 9, 10, 11, 30, 100, 101])
def test_every_class_has_the_shares(per_class: int) -> None:
    groups = {f"{label} {number}": [label] for label in "abcde" for number in range(per_class)}
    for counts in _counts(groups, choose_splits(groups, SHARES, 0)).values():
        for split in ("validation", "test"):
            assert abs(counts[split] - max(1, per_class / 10)) < 1
        assert counts.total() == per_class
        assert counts["train"] >= 1


@pytest.mark.parametrize("seed", range(20))
def test_groups_of_any_sizes(seed: int) -> None:
    generator = random.Random(seed)
    classes = [f"class {number}" for number in range(generator.randint(1, 12))]
    groups = {
        f"{label}, {number}": [label] * generator.choice([1, 1, 1, 2, 5, 20])
        for label in classes
        for number in range(generator.randint(3, 40))
    }
    chosen = choose_splits(groups, SHARES, seed)
    assert chosen.keys() == groups.keys()
    largest = max(map(len, groups.values()))
    for label, counts in _counts(groups, chosen).items():
        assert set(counts) == set(SHARES), f"{label} is missing from a split"
        for split in ("validation", "test"):
            assert counts[split] <= max(1, counts.total() / 10) + largest


def test_groups_of_several_classes() -> None:
    generator = random.Random(0)
    groups = {f"video {number}": generator.choices("abcd", k=5) for number in range(200)}
    for counts in _counts(groups, choose_splits(groups, SHARES, 0)).values():
        for split, share in SHARES.items():
            assert counts[split] == pytest.approx(counts.total() * share / 100, abs=6)


def test_one_clip_of_a_class_in_a_large_group_leaves_the_rare_class_in_every_split() -> None:
    groups = {"big": ["a"] * 50 + ["b"], **{f"a{n}": ["a"] for n in range(10)}, "b1": ["b"], "b2": ["b"]}
    counts = _counts(groups, choose_splits(groups, SHARES, 0))
    assert all(set(each) == set(SHARES) for each in counts.values())


def test_the_seed_alone_decides() -> None:
    groups = {f"{label}{number}": [label] for label in "ab" for number in range(50)}
    shuffled = dict(sorted(groups.items(), key=lambda item: item[0][::-1]))
    assert choose_splits(groups, SHARES, 0) == choose_splits(shuffled, SHARES, 0)
    assert choose_splits(groups, SHARES, 0) != choose_splits(groups, SHARES, 1)


def test_fewer_splits_and_other_shares() -> None:
    groups = {str(number): ["a"] for number in range(100)}
    assert set(choose_splits(groups, {"train": 1}, 0).values()) == {"train"}
    halves = Counter(choose_splits(groups, {"train": 1, "test": 1}, 0).values())
    assert halves == {"train": 50, "test": 50}
    small = Counter(choose_splits(groups, {"train": 1, "validation": 98, "test": 1}, 0).values())
    assert small == {"train": 1, "validation": 98, "test": 1}


def test_many_classes_take_little_time() -> None:
    groups = {f"{label} {number}": [f"class {label}"] for label in range(4000) for number in range(5)}
    for counts in _counts(groups, choose_splits(groups, SHARES, 0)).values():
        assert counts == {"train": 3, "validation": 1, "test": 1}


def _entry(name: str, label: str | None, group: str, split: str | None = None, frames: int = 9) -> Entry:
    source = Source(name, 1, label, split, group, captions=("x",))
    return Entry(source, "sha", {"seconds": 1}, records=("r",), num_frames=frames)


def _apply(entries: list[Entry], **changes: object) -> list[Entry]:
    defaults = {"max_bad": 0.01, "min_frames": 1, "shares": SHARES, "seed": 0, "allow_missing_classes": False}
    rules = Rules(**{"on_bad_clip": FAIL, **defaults, **changes})  # type: ignore[arg-type]
    given = Entries()
    for entry in entries:
        given.append(entry)
    return list(rules.apply(given))


def test_files_of_equal_content_stay_together() -> None:
    entries = [_entry(f"{number}.mp4", "a", f"sha {number // 2}") for number in range(40)]
    splits = defaultdict(set)
    for entry in _apply(entries):
        splits[entry.source.group].add(entry.source.split)
    assert all(len(each) == 1 for each in splits.values())
    assert set().union(*splits.values()) == set(SHARES)


def test_a_class_whose_files_are_all_equal_is_missing_from_a_split() -> None:
    entries = [_entry(f"{number}.mp4", "a", "one sha") for number in range(4)]
    entries += [_entry(f"b{number}.mp4", "b", f"sha {number}") for number in range(4)]
    with pytest.raises(WorkError, match=r"class a: no clip in split \w+; add clips, give other --splits"):
        _apply(entries)
    assert len(_apply(entries, allow_missing_classes=True)) == 8


@pytest.mark.parametrize("label", ["a", None])
def test_a_split_without_any_clip_is_named(label: str | None) -> None:
    """The files are equal, so all are one group."""
    entries = [_entry(f"{number}.mp4", label, "one sha") for number in range(4)]
    who = "class a: " if label else ""
    with pytest.raises(WorkError, match=f"^{who}no clip in split test; add clips, give other --splits, as"):
        _apply(entries, shares={"train": 80, "test": 20})
    assert {entry.source.split for entry in _apply(entries, shares={"train": 100})} == {"train"}
    assert len(_apply(entries, allow_missing_classes=True)) == 4


def test_bad_clips_may_not_empty_a_split_or_a_class() -> None:
    used = [_entry(f"{split}.mp4", "a", "g", split) for split in SHARES]
    bad = replace(_entry("bad.mp4", "a", "g", "test"), reason="is bad")
    skip = {"on_bad_clip": "skip", "max_bad": 1}
    assert len(_apply([*used, bad], **skip)) == 4
    with pytest.raises(WorkError, match=r"^class a: no clip in split test; add clips, or add --allow"):
        _apply([*used[:2], bad], **skip)
    other = replace(bad, source=replace(bad.source, label="b"))
    with pytest.raises(WorkError, match=r"^class b: no clip in split train; add clips, or add --allow"):
        _apply([*used, other], **skip)
    assert len(_apply([*used[:2], other], **skip, allow_missing_classes=True)) == 3


def test_bad_clips_are_judged_before_splits_are_chosen() -> None:
    entries = [_entry(f"{number}.mp4", "a", str(number)) for number in range(9)]
    entries.append(_entry("short.mp4", "a", "short", frames=3))
    with pytest.raises(WorkError, match=r"1 of 10 clips cannot be used: short\.mp4: is too short: 3 frames"):
        _apply(entries, min_frames=4)
    with pytest.raises(WorkError, match=r"more than --max_bad 1\.000% allows: short\.mp4"):
        _apply(entries, min_frames=4, on_bad_clip="skip")
    used = _apply(entries, min_frames=4, on_bad_clip="skip", max_bad=0.1)
    assert [entry.reason for entry in used if entry.reason] == ["is too short: 3 frames, fewer than 4"]
    assert [entry.source.split is None for entry in used] == [False] * 9 + [True]
    with pytest.raises(WorkError, match="no clip can be used: "):
        _apply(entries, min_frames=10, on_bad_clip="skip", max_bad=1)
