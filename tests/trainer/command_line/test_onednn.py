"""oneDNN is asked for where TensorFlow has it, and nobody's own choice is overruled."""

import os
import platform

import pytest

from trainer.command_line.startup import ask_for_onednn


@pytest.mark.parametrize(
    ("machine", "chosen", "expected"), [("x86_64", None, "1"), ("x86_64", "0", "0"), ("aarch64", None, None)]
)
def test_onednn_is_asked_for_on_x86_64(
    monkeypatch: pytest.MonkeyPatch, machine: str, chosen: str | None, expected: str | None
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: machine)
    monkeypatch.delenv("TF_ENABLE_ONEDNN_OPTS", raising=False)
    if chosen is not None:
        monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", chosen)
    ask_for_onednn()
    assert os.environ.get("TF_ENABLE_ONEDNN_OPTS") == expected
