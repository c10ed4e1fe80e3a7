"""Every command of the documents in docs works, after those of the README that make data and a run."""

import shutil
from pathlib import Path

import pytest

from tests.commands.checks import check_languages, check_what_is_not_run, run_blocks
from tests.commands.documents import DOCUMENTS, blocks, programs, read
from tests.commands.reader import Reader

pytestmark = pytest.mark.commands

README = "README.md"
# The README's commands of these programs make what the others take for granted.
MAKERS = {"pipeline.generate", "trainer.task"}


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set and a run, made as the README says."""
    directory = tmp_path_factory.mktemp("made")
    with Reader(directory) as reader:
        for block in blocks(README, read(README)):
            if block.file:
                reader.run(block)
            for command in block.commands() if block.language == "sh" and not block.reason else []:
                if MAKERS.intersection(module for module, _ in programs(command.text)):
                    reader.run_command(command)
    return directory


@pytest.mark.parametrize("document", DOCUMENTS)
def test_blocks_run(document: str, made: Path, tmp_path: Path) -> None:
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    run_blocks(document, tmp_path)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_block_has_a_language_that_is_run(document: str) -> None:
    check_languages(document)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_other_commands_exist(document: str, tmp_path: Path) -> None:
    check_what_is_not_run(document, tmp_path)
