"""Figures in documents: each stands between two comments, which name it, and is written by a program.

``<!-- figure NAME -->text<!-- end -->``, within a line or around whole lines. A renderer shows the text
only. A line must not begin with the comment of a figure within it: markdown would take the whole line for
HTML.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

_FIGURE = re.compile(r"<!-- figure (?P<name>[^>]+?) -->(?P<text>.*?)<!-- end -->", re.DOTALL)
_CODE = re.compile(r"^```.*?^```$|`[^`\n]*`", re.DOTALL | re.MULTILINE)
# A number with a unit that only measuring gives; of those that are set and not measured, the test has a list.
_MEASURED = re.compile(
    r"\d[\d,.]*(?: to \d[\d,.]*)?[  ]?"
    r"(?:s|ms|µs|ns|seconds?|minutes?|hours?|days?|core-hours|[kMGT]i?B|bytes a \w+|%|times|x|k/s|M/s"
    r"|(?:sequences|paths|frames|steps|records)(?:/s| a second))(?![\w])"
)


def figures(text: str) -> Iterator[tuple[str, str]]:
    """Name and text of every figure of a document."""
    for found in _FIGURE.finditer(text):
        yield found["name"], found["text"]


def with_figures(text: str, written: Callable[[str], str]) -> str:
    """The document with every figure as a function of its name gives it; tables get lines of their own."""

    def replaced(found: re.Match[str]) -> str:
        content = written(found["name"])
        if "\n" in content:
            content = f"\n{content}\n"
        return f"<!-- figure {found['name']} -->{content}<!-- end -->"

    return _FIGURE.sub(replaced, text)


def measured_outside(text: str) -> list[str]:
    """Numbers that look measured and stand neither in a figure nor in code, with what is around them."""
    prose = _CODE.sub("", _FIGURE.sub("", text))
    return [prose[max(0, found.start() - 30) : found.end() + 20] for found in _MEASURED.finditer(prose)]


def documents(root: Path) -> list[Path]:
    """The README and what lies in docs."""
    return [root / "README.md", *sorted((root / "docs").glob("*.md"))]
