"""Every command of the README works: it is taken from the text, made small, and run."""

from pathlib import Path

import pytest

from tests.commands.checks import check_languages, check_what_is_not_run, run_blocks

pytestmark = pytest.mark.commands

README = "README.md"


def test_blocks_run(tmp_path: Path) -> None:
    run_blocks(README, tmp_path)


def test_every_block_has_a_language_that_is_run() -> None:
    check_languages(README)


def test_other_commands_exist(tmp_path: Path) -> None:
    check_what_is_not_run(README, tmp_path)
