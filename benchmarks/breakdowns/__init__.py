"""Where the time of every stage goes, a part at a time, on one core; a module for each stage.

Each has ``measure(directory, limits)`` with the number of its sequences, if that may be chosen, which gives a
`Breakdown`.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Breakdown:
    """A stage's time.

    Attributes:
        stage: its name.
        parts: nanoseconds a sequence, by part.
        whole: nanoseconds a sequence of the whole stage, measured by itself.
        limit: nanoseconds a sequence that the machine needs for what cannot be left out.
        why: how the limit comes about.
    """

    stage: str
    parts: dict[str, float]
    whole: float
    limit: float
    why: str

    def table(self) -> str:
        """In markdown."""
        rest = self.whole - sum(self.parts.values())
        rows = [*self.parts.items(), ("everything else", rest)]
        lines = [f"| {self.stage} | ns a sequence | share |", "|---|---:|---:|"]
        lines += [f"| {name} | {taken:,.0f} | {taken / self.whole:.0%} |" for name, taken in rows]
        lines.append(f"| **the whole stage** | **{self.whole:,.0f}** | {1e9 / self.whole:,.0f} sequences/s |")
        lines.append(
            f"| limit: {self.why} | {self.limit:,.0f} | {self.whole / self.limit:.1f} times as long |"
        )
        return "\n".join(lines)
