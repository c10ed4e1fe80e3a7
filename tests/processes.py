"""Starting processes as a user does, finding those that a test started, and waiting for their end."""

import contextlib
import ipaddress
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

_ROOT = Path(__file__).parent.parent
_LISTENS = "0A"  # As the kernel's tables have it.


def children(pid: int, module: str) -> list[int]:
    """Processes that run a module as children of a process."""
    return sorted(number for number, parent, command in _processes() if parent == pid and module in command)


def descendants(pid: int, word: str) -> list[int]:
    """Processes below a process that have a word as a whole argument, or as their program's name."""
    parents, found = {}, []
    for number, parent, command in _processes():
        parents[number] = parent
        if word in command or Path(command[0]).name == word:
            found.append(number)

    def is_below(process: int) -> bool:
        above = parents.get(process)
        return above is not None and (above == pid or is_below(above))

    return sorted(filter(is_below, found))


def _processes() -> Iterator[tuple[int, int, list[str]]]:
    """Number, parent and command of every process; what ends meanwhile may be left out."""
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            try:  # Commands and names are any bytes, and a name may be cut off within a character.
                command = (process / "cmdline").read_text(errors="replace").split("\0")
                fields = (process / "stat").read_text(errors="replace").rpartition(")")[2].split()
            except OSError:
                continue
            yield int(process.name), int(fields[1]), command


def open_handles(pid: int) -> set[str]:
    """What a process has open, as the kernel names it; nothing, once it has ended."""
    handles = set()
    with contextlib.suppress(OSError):
        for handle in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):  # It may be closed between the two looks.
                handles.add(os.readlink(handle))
    return handles


def listening_addresses(pid: int) -> set[str]:
    """IP addresses at which a process listens for TCP."""
    handles = open_handles(pid)
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == _LISTENS and f"socket:[{fields[9]}]" in handles:
                words = bytes.fromhex(fields[1].partition(":")[0])  # Of 32 bits, each in the host's order.
                swapped = [words[start : start + 4][::-1] for start in range(0, len(words), 4)]
                address = ipaddress.ip_address(b"".join(swapped))
                found.add(str(getattr(address, "ipv4_mapped", None) or address))
    return found


def environment(**more: str) -> dict[str, str]:
    """What a program sees that a user starts, not a test."""
    ours = {
        name: value for name, value in os.environ.items() if name not in ("TF_CPP_MIN_LOG_LEVEL", "TF_CONFIG")
    }
    return {**ours, "PYTHONPATH": str(_ROOT), **more}


def run_python(
    *arguments: str | Path, variables: Mapping[str, str] | None = None, timeout: float = 240
) -> "subprocess.CompletedProcess[str]":
    """Run Python in the project's directory to its end, in an environment; by default, in a user's."""
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=_ROOT,
        env=environment() if variables is None else variables,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def stopping_at_their_start(directory: Path, module: str) -> dict[str, str]:
    """An environment in which processes that run a module stop (SIGSTOP) before they import anything.

    Args:
        directory: for the file that does it.
        module: as it is given to ``python -m``.
    """
    (directory / "sitecustomize.py").write_text(
        f"import os, signal, sys\nif {module!r} in sys.orig_argv:\n    os.kill(os.getpid(), signal.SIGSTOP)\n"
    )
    ours = environment()
    return {**ours, "PYTHONPATH": os.pathsep.join([str(directory), ours["PYTHONPATH"]])}


def wait_for_stopped(job: "subprocess.Popen[str]", module: str, count: int) -> list[int]:
    """Wait until a job has as many stopped children that run a module; their ids."""
    deadline = time.monotonic() + 120
    while len(found := [pid for pid in children(job.pid, module) if _state(pid) == "T"]) < count:
        assert time.monotonic() < deadline, f"only processes {found} have stopped"
        assert job.poll() is None
        time.sleep(0.02)
    return found


def wait_for_path(job: "subprocess.Popen[str]", path: Path) -> None:
    """Wait until a job has made a file or a folder."""
    deadline = time.monotonic() + 120
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} was not made"
        assert job.poll() is None
        time.sleep(0.02)


def wait_until_gone(pids: list[int], seconds: float) -> None:
    """Wait until processes have ended, or fail."""
    deadline = time.monotonic() + seconds
    while left := [pid for pid in pids if _is_running(pid)]:
        assert time.monotonic() < deadline, f"processes {left} outlived their job"
        time.sleep(0.05)


def _is_running(pid: int) -> bool:
    return _state(pid) not in (None, "Z")


def _state(pid: int) -> str | None:
    """The letter of a process's state; None if it has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[0]
    except OSError:
        return None
