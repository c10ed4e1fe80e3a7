"""From what was found in every clip: which clips are used, and in which splits."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from pipeline.clips.index import Entries, Entry
from pipeline.clips.split_choice import SPLITS, choose_splits
from pipeline.command_line.errors import WorkError

FAIL, SKIP, TRIM = "fail", "skip", "trim"
# Bad clips that an error names; the others are counted.
_MOST_NAMED = 3


@dataclass(frozen=True)
class Rules:
    """Which clips are used.

    Attributes:
        on_bad_clip: `FAIL`; `SKIP` leaves bad clips out; `TRIM` does too, but uses the frames before damage.
        max_bad: largest share of clips that may be left out or trimmed.
        min_frames: fewest chosen frames of a clip.
        shares: by split, its share of the clips; for clips without given splits.
        seed: decides the splits.
        allow_missing_classes: whether a class may be missing from a split.
    """

    on_bad_clip: str
    max_bad: float
    min_frames: int
    shares: Mapping[str, int]
    seed: int
    allow_missing_classes: bool

    def apply(self, entries: Entries) -> Entries:
        """The entries with their splits; those that are not used have a `reason`.

        Raises:
            WorkError: if clips are bad and must not be, or a class is missing from a split.
        """
        bad: list[Entry] = []
        groups: dict[str, list[str]] = defaultdict(list)
        given, labels = set[str](), set[str]()  # What the source has, also of clips that cannot be used.
        for entry in map(self._judged, entries):
            labels.add(entry.source.label or "")
            if entry.source.split is not None:
                given.add(entry.source.split)
            if entry.reason or entry.damage:
                bad.append(entry)
            if not entry.reason and entry.source.split is None:
                groups[entry.source.group or ""].append(entry.source.label or "")
        self._check_bad(bad, len(entries))
        splits = choose_splits(groups, self.shares, self.seed) if groups else {}
        chosen, classes = Entries(), empty_splits(given or self.shares)
        for entry in map(self._judged, entries):
            if not entry.reason:
                source = entry.source
                split = source.split if source.split is not None else splits[source.group or ""]
                classes[split].add(source.label or "")
                entry = replace(entry, source=replace(source, split=split))
            chosen.append(entry)
        if not any(classes.values()):
            raise WorkError(f"no clip can be used: {_named(bad)}")
        if not self.allow_missing_classes:
            check_classes(classes, labels, WorkError, is_chosen=not given)
        return chosen

    def _judged(self, entry: Entry) -> Entry:
        if not entry.reason and entry.damage and self.on_bad_clip != TRIM:
            return entry.left_out(entry.damage)
        if not entry.reason and entry.num_frames < self.min_frames:
            return entry.left_out(f"is too short: {entry.num_frames} frames, fewer than {self.min_frames}")
        return entry if not entry.reason else entry.left_out(entry.reason)

    def _check_bad(self, bad: Sequence[Entry], total: int) -> None:
        if bad and self.on_bad_clip == FAIL:
            raise WorkError(
                f"{len(bad)} of {total} clips cannot be used: {_named(bad)}; mend or remove them, or add"
                f" --on_bad_clip {SKIP} (or {TRIM}, for what is whole)"
            )
        if len(bad) > self.max_bad * total:
            raise WorkError(
                f"{len(bad)} of {total} clips cannot be used, more than --max_bad"
                f" {self.max_bad:.3%} allows: {_named(bad)}"
            )


def empty_splits(names: Collection[str]) -> dict[str, set[str]]:
    """Splits in their order, each with no class yet: a split that gets no clip must be noticed, too."""
    return {split: set() for split in SPLITS if split in names}


def check_classes(
    classes: Mapping[str, set[str]], labels: set[str], error: type[Exception], *, is_chosen: bool
) -> None:
    """Check that every class is in every split; raises ``error`` if one is missing.

    Args:
        classes: by split, the classes of its clips; also of a split without any.
        labels: the classes that each must have; {""} for clips without labels.
        error: RequestError or WorkError.
        is_chosen: whether the splits are chosen by their shares, so that other shares help.
    """
    for split, found in classes.items():
        if missing := sorted(labels - found):
            more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
            who = f"class {missing[0]}{more}: " if missing[0] else ""
            other = ", give other --splits, as in 80,0,20" if is_chosen else ""
            raise error(f"{who}no clip in split {split}; add clips{other}, or add --allow_missing_classes")


def _named(bad: Sequence[Entry]) -> str:
    named = "; ".join(f"{entry.source.name}: {entry.reason or entry.damage}" for entry in bad[:_MOST_NAMED])
    return f"{named}; and {len(bad) - _MOST_NAMED} more" if len(bad) > _MOST_NAMED else named
