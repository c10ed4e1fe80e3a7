"""What is asked of a document: its blocks run; all else has targets, extras and flags that exist."""

import functools
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

from pipeline.definition import KINDS, find_kind
from tests.commands.documents import Command, blocks, commands_in_sentences, programs, read
from tests.commands.reader import Reader
from tests.conftest import ROOT
from tests.processes import environment

LANGUAGES = {"sh", "python", "json", "yaml", "mermaid", ""}


def run_blocks(document: str, directory: Path) -> None:
    """Run a document's blocks, in order, in a directory."""
    with Reader(directory) as reader:
        for block in blocks(document, read(document)):
            if block.language in ("sh", "python") and not block.reason:
                reader.run(block)


def check_languages(document: str) -> None:
    """No block is left out because it says ``bash`` or ``console``."""
    for block in blocks(document, read(document)):
        assert block.language in LANGUAGES, f"{block.place}: ```{block.language} is not run; say sh or python"


def check_what_is_not_run(document: str, directory: Path) -> None:
    """Look at commands in sentences, and in blocks that are marked as not run."""
    commands = commands_in_sentences(document, read(document))
    for block in blocks(document, read(document)):
        if block.reason and block.language == "sh":
            commands += block.commands()
    with Reader(directory) as reader:
        for command in commands:
            if command.text.startswith("make "):
                reader.make(command, expand_only=True)
            elif command.text.startswith("pip install "):
                reader.run_command(command)
            else:
                _check_flags(command)


def _check_flags(command: Command) -> None:
    for module, words in programs(command.text):
        if (ROOT / module.partition(".")[0]).is_dir():
            flags = {word.partition("=")[0] for word in words if word.startswith("--")}
            kind = words[words.index("--dataset") + 1] if "--dataset" in words else ""
            unknown = flags - _known_flags(module) - _settings_of(kind)
            assert not unknown, f"{command.place}: {module} has no {', '.join(sorted(unknown))}"


@functools.cache
def _known_flags(module: str) -> frozenset[str]:
    answer = subprocess.run(
        [sys.executable, "-m", module, "--help"],
        cwd=ROOT,
        env=environment(COLUMNS="200"),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return frozenset(re.findall(r"--[\w-]+", answer.stdout)) | (
        _flags_of_beam() if module == "pipeline.generate" else frozenset()
    )


def _settings_of(kind: str) -> frozenset[str]:
    """The flags of a kind of data set that this project has."""
    if kind not in KINDS:
        return frozenset()
    settings = fields(find_kind(kind))  # type: ignore[arg-type]  # Kinds are dataclasses.
    return frozenset(f"--{each.name}" for each in settings)


def _flags_of_beam() -> frozenset[str]:
    from apache_beam.options.pipeline_options import PipelineOptions
    from apache_beam.runners.dask import dask_runner  # noqa: F401 - declares its flags

    return frozenset(f"--{name}" for name in PipelineOptions([]).get_all_options())
