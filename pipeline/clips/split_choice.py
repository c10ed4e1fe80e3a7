"""Chooses the split of every group of clips: by given shares, in every class, and without chance."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

SPLITS = ("train", "validation", "test")
# How folders and CSVs name them.
SPLIT_NAMES = {**{name: name for name in SPLITS}, "val": "validation", "valid": "validation"}


def choose_splits(
    groups: Mapping[str, Sequence[str]], shares: Mapping[str, int], seed: int
) -> dict[str, str]:
    """The split of every group.

    Groups are taken largest first, those of one size in an order that the seed decides. Each goes where its
    classes lack most; every split gets at least one group of a class that has enough of them.

    Args:
        groups: by name of the group, the class of each of its clips.
        shares: by split, its share of the clips, as a positive number.
        seed: decides the order.
    """
    total = sum(shares.values())
    clips = Counter(label for labels in groups.values() for label in labels)
    wanted = {
        (label, split): max(1.0, count * share / total)
        for label, count in clips.items()
        for split, share in shares.items()
    }
    largest = max(shares, key=lambda split: shares[split])
    for label, count in clips.items():  # What small splits get at least is missing from the largest.
        others = sum(wanted[label, split] for split in shares if split != largest)
        wanted[label, largest] = max(1.0, count - others)
    left: dict[str, int] = defaultdict(int)  # Groups by class that are not yet given to a split.
    for labels in groups.values():
        for label in set(labels):
            left[label] += 1
    given: dict[tuple[str, str], int] = defaultdict(int)
    chosen = {}
    for group in sorted(groups, key=lambda name: (-len(groups[name]), _order(seed, name))):
        counts = Counter(groups[group])

        def lack(split: str, counts: Mapping[str, int] = counts) -> tuple[int, float]:
            missing = sum(
                (wanted[label, split] - given[label, split]) * count for label, count in counts.items()
            )
            # A split without any clip of a class comes first when there are no more groups than such splits.
            urgent = sum(
                not given[label, split] and left[label] <= sum(not given[label, other] for other in shares)
                for label in counts
            )
            return urgent, missing

        chosen[group] = max(shares, key=lack)
        for label, count in counts.items():
            given[label, chosen[group]] += count
            left[label] -= 1
    return chosen


def _order(seed: int, name: str) -> bytes:
    return hashlib.sha256(f"{seed}\0{name}".encode()).digest()
