"""From what was found in every clip: which clips are used, and in which splits."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from pipeline.clips.index import Entries, Entry
from pipeline.clips.split_choice import choose_splits
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
        for entry in map(self._judged, entries):
            if entry.reason or entry.damage:
                bad.append(entry)
            if not entry.reason and entry.source.split is None:
                groups[entry.source.group or ""].append(entry.source.label or "")
        self._check_bad(bad, len(entries))
        splits = choose_splits(groups, self.shares, self.seed) if groups else {}
        chosen, classes = Entries(), defaultdict[str, set[str]](set)
        for entry in map(self._judged, entries):
            if not entry.reason:
                source = entry.source
                split = source.split if source.split is not None else splits[source.group or ""]
                classes[split].add(source.label or "")
                entry = replace(entry, source=replace(source, split=split))
            chosen.append(entry)
        if not classes:
            raise WorkError(f"no clip can be used: {_named(bad)}")
        if not self.allow_missing_classes:
            check_classes(classes, WorkError)
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


def check_classes(classes: Mapping[str, set[str]], error: type[Exception]) -> None:
    """Check that every class is in every split; raises ``error`` if one is missing.

    Args:
        classes: by split, the classes of its clips.
        error: RequestError or WorkError.
    """
    everything = set().union(*classes.values())
    for split, found in classes.items():
        if missing := sorted(everything - found):
            more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
            raise error(
                f"class {missing[0]}{more}: no clip in split {split}; add clips, give other --splits, or add"
                " --allow_missing_classes"
            )


def _named(bad: Sequence[Entry]) -> str:
    named = "; ".join(f"{entry.source.name}: {entry.reason or entry.damage}" for entry in bad[:_MOST_NAMED])
    return f"{named}; and {len(bad) - _MOST_NAMED} more" if len(bad) > _MOST_NAMED else named
