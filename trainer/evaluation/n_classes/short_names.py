"""Shortens names in pictures."""

from __future__ import annotations


def short(name: str, letters: int = 24) -> str:
    """The name on one line, its middle left out if it is longer than so many letters."""
    name = " ".join(name.split())
    if len(name) <= letters:
        return name
    head = (letters - 1) // 2
    return f"{name[:head]}…{name[head + 1 - letters :]}"
