"""A document that tells something wrong is found out."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.commands import checks

pytestmark = pytest.mark.commands

Write = Callable[[str], str]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a document, and give its name as the checks take it."""

    def write(text: str) -> str:
        (tmp_path / "A.md").write_text(text)
        return (tmp_path / "A.md").as_posix()

    return write


@pytest.mark.parametrize(
    ("block", "message"),
    [
        ("```sh\ntrue\npython -c 'exit(3)'\n```", "(?s)A.md:1: python -c 'exit.3.'.*exit code: 3"),
        ("```sh\npython -m pipeline.dataset.shard_plan --output a.png\n```", "(?s)A.md:1.*wrote no"),
        ("```python\nprint(nobody)\n```", "(?s)A.md:1.*NameError"),
        ("```sh\nmake no-such-target\n```", "No rule to make target"),
        ("```sh\npip install '.[nothing]'\n```", "no extra .*nothing"),
        ("```sh\npip install --constraint no.txt .\n```", "Could not open requirements file"),
    ],
)
def test_a_block_that_fails(block: str, message: str, write: Write, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=message):
        checks.run_blocks(write(block), tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("`make no-such-target`", "No rule to make target"),
        ("`trainer.task --epoch 3`", "trainer.task has no --epoch"),
        ("<!-- not run: why -->\n```sh\npython -m pipeline.generate --setup_fil=s\n```", "no --setup_fil"),
    ],
)
def test_a_command_that_does_not_exist(text: str, message: str, write: Write, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=message):
        checks.check_what_is_not_run(write(text), tmp_path)


def test_a_block_of_another_language(write: Write) -> None:
    with pytest.raises(AssertionError, match="bash is not run"):
        checks.check_languages(write("```bash\nfalse\n```"))


def test_a_program_that_does_not_end(write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.commands.reader.SECONDS", 0.5)
    with pytest.raises(AssertionError, match=r"still running after 0\.5 s"):
        checks.run_blocks(write("```sh\nsleep 60\n```"), tmp_path)
