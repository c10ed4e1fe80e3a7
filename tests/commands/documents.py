"""What the documents tell a reader to run: their commands and Python, in reading order."""

import ast
import re
import shlex
from pathlib import Path
from typing import NamedTuple

from tests.conftest import ROOT

# All but the README, which comes before them.
DOCUMENTS = [
    path.relative_to(ROOT).as_posix()
    for path in (*ROOT.glob("CONTRIBUTING.md"), *sorted((ROOT / "docs").glob("*.md")))
]

# In the line before a fence, where no browser shows it: <!-- not run: why -->, and the next block is not run;
# <!-- file: NAME -->, and a reader keeps it in that file.
_NOT_RUN = re.compile(r"<!-- not run: (\S.*?) *-->")
_FILE = re.compile(r"<!-- file: (\S+) *-->")
_FENCE = re.compile(r"( *)```(.*)")
_PROGRAM = re.compile(r"(pipeline|trainer|benchmarks)\.\w+ --")
_ALTERNATIVES = re.compile(r"or (\w+(?:, or \w+)*)")


class Command(NamedTuple):
    """A command of a shell, in one line, and where it stands."""

    place: str
    text: str


class Block(NamedTuple):
    """What stands between two fences.

    ``reason`` says why it is not to be run; empty, it is. ``file`` is what it is kept in, if it is.
    """

    place: str
    language: str
    source: str
    reason: str
    file: str = ""

    def commands(self) -> list[Command]:
        """The commands of a block of ``sh``."""
        return [
            Command(self.place, text)
            for command, comment in _joined(self.source)
            for text in _alternatives(command, comment)
        ]

    def unbound_names(self) -> set[str]:
        """The names that a block of ``python`` takes for granted."""
        names = [node for node in ast.walk(ast.parse(self.source)) if isinstance(node, ast.Name)]
        return {n.id for n in names if isinstance(n.ctx, ast.Load)} - {
            n.id for n in names if not isinstance(n.ctx, ast.Load)
        }


def read(document: str) -> str:
    """The text of a document."""
    return (ROOT / document).read_text()


def blocks(name: str, text: str) -> list[Block]:
    """All fenced blocks of a text, in reading order."""
    found: list[Block] = []
    opened: tuple[int, str, str] | None = None
    inside: list[str] = []
    before = ""
    for number, line in enumerate(text.splitlines(), 1):
        fence = _FENCE.fullmatch(line)
        if opened is None and fence:
            opened = number, fence[1], fence[2].strip()
        elif opened is not None and fence and not fence[2]:
            reason = _NOT_RUN.fullmatch(before)
            file = _FILE.fullmatch(before)
            place = f"{name}:{opened[0]}"
            source = "\n".join(inside)
            found.append(
                Block(place, opened[2], source, reason[1] if reason else "", file[1] if file else "")
            )
            opened, inside, before = None, [], ""
        elif opened is not None:
            inside.append(line.removeprefix(opened[1]))
        elif line.strip():
            before = line.strip()
    assert opened is None, f"{name}:{opened}: the block does not end"
    return found


def commands_in_sentences(name: str, text: str) -> list[Command]:
    """What stands between backquotes in a sentence and is a command: ``make``, ``pip``, our programs."""
    found = []
    is_inside = False
    for number, line in enumerate(text.splitlines(), 1):
        is_inside ^= bool(_FENCE.fullmatch(line))
        for span in [] if is_inside else re.findall(r"`([^`]+)`", line):
            if span.startswith(("make ", "python -m ", "pip install ")):
                found.append(Command(f"{name}:{number}", span))
            elif _PROGRAM.match(span):
                found.append(Command(f"{name}:{number}", f"python -m {span}"))
    return found


def programs(command: str) -> list[tuple[str, list[str]]]:
    """The modules that a command runs with ``python -m``, each with its words; in quoted commands, too."""
    found = []
    words = shlex.split(command)
    for number, word in enumerate(words):
        if " " in word and "python -m" in word:
            found += programs(word)
        elif word == "-m" and Path(words[number - 1]).name.startswith("python"):
            found.append((words[number + 1], words[number + 2 :]))
    return found


def _joined(source: str) -> list[tuple[str, str]]:
    """Commands with their comments: continued lines are one, and so is what a quotation spans."""
    found = []
    waiting = ""
    for line in source.splitlines():
        command, comment = _split_comment(waiting + (line.lstrip() if waiting.endswith(" ") else line))
        if command.endswith("\\"):
            waiting = f"{command[:-1].rstrip()} "
        elif not _is_closed(command):
            waiting = f"{command}\n"
        else:
            waiting = ""
            if command.strip():
                found.append((command.strip(), comment))
    assert not waiting, f"{waiting!r} does not end"
    return found


def _split_comment(line: str) -> tuple[str, str]:
    quotation, previous = "", " "
    for number, character in enumerate(line):
        if character == quotation and previous != "\\":
            quotation = ""
        elif not quotation and character in "'\"" and previous != "\\":
            quotation = character
        elif not quotation and character == "#" and previous.isspace():
            return line[:number].rstrip(), line[number + 1 :].strip()
        previous = character
    return line.rstrip(), ""


def _is_closed(command: str) -> bool:
    try:
        shlex.split(command)
    except ValueError:
        return False
    return True


def _alternatives(command: str, comment: str) -> list[str]:
    """The command, and what a comment like ``# or this, or that`` offers in place of its last word."""
    others = _ALTERNATIVES.fullmatch(comment)
    start = command.rpartition(" ")[0]
    return [command, *(f"{start} {other}" for other in others[1].split(", or "))] if others else [command]
