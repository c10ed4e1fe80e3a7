"""Where the system cannot lock a directory: what is not supported is said, what fails is raised."""

import errno
import fcntl
import os
from pathlib import Path

import pytest

from pipeline.storage.directory_lock import locked


def _answer(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Let the system answer a request for a lock with an error, as file systems that are not here do."""

    def flock(descriptor: int, operation: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", flock)


def _open_descriptors() -> list[str]:
    return sorted(os.listdir("/dev/fd"))


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EBADF])
def test_a_file_system_without_locks_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], number: int
) -> None:
    _answer(monkeypatch, number)
    with locked(str(tmp_path)), locked(str(tmp_path)):
        pass
    assert capsys.readouterr().err == 2 * (
        f"{tmp_path}: its file system has no locks ({os.strerror(number)}):"
        " two runs at once are not kept apart there\n"
    )


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOLCK, errno.EINVAL, errno.ENOMEM, errno.EACCES])
def test_a_lock_that_fails_stops_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    _answer(monkeypatch, number)
    before = _open_descriptors()
    with pytest.raises(OSError, match=os.strerror(number)) as caught, locked(str(tmp_path)):
        pytest.fail("works without a lock")
    assert (caught.value.errno, caught.value.filename) == (number, str(tmp_path))
    assert _open_descriptors() == before


def test_a_directory_that_is_held_is_refused_and_no_descriptor_is_left(tmp_path: Path) -> None:
    before = _open_descriptors()
    with locked(str(tmp_path)), pytest.raises(RuntimeError, match="another process"), locked(str(tmp_path)):
        pytest.fail("works twice at once")
    assert _open_descriptors() == before
