"""A reader who does what the documents say, in a directory of their own and with small numbers."""

import contextlib
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tests.commands.documents import Block, Command, programs
from tests.conftest import ROOT
from tests.engines.servers import Servers, free_ports
from tests.processes import environment

# No flag gets more than this; one that a command leaves out is added. For make the same as variables.
SIZES = {
    "pipeline.generate": {"image_size": 20, "num_train": 4_000, "num_validation": 300, "num_test": 1_000},
    "trainer.task": {"epochs": 2, "steps_per_epoch": 60},
}
# What a reader has: these files, and in Python these names.
IMAGE_SIZE = SIZES["pipeline.generate"]["image_size"]
NAMES = {
    "shards": "import glob; shards = sorted(glob.glob('/tmp/lines/*-train*'))",
    "frames": "import numpy; frames = numpy.load('frames.npz')['frames']",
}
# Flags that name what a program writes.
OUTPUTS = ("output", "output_dir", "model_dir", "statistics", "contact_sheet", "plots")
# Of make's targets these are run; the others are expanded only.
TARGETS = {"demo", "help"}
# Programs that serve until they are stopped, and what they say when they are ready.
SERVERS = {
    "trainer.data_server": "serving: ",
    "dask scheduler": "Scheduler at: ",
    "dask worker": "Registered to: ",
}
SECONDS = 240.0
_PYTHON = r"\S*python3? -m "


class Reader:
    """Runs what documents say; the block's end stops the servers that it started."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._servers = Servers(directory)
        self._ports: dict[str, int] = {}
        binaries = Path(sys.executable).parent
        self._environment = environment(PATH=f"{binaries}{os.pathsep}{os.environ['PATH']}")
        for name in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES"):  # Of the make that runs the tests.
            self._environment.pop(name, None)
        np.savez(directory / "frames.npz", frames=np.zeros((3, *[IMAGE_SIZE] * 3, 1), np.uint8))
        shutil.copy(ROOT / "examples" / "bouncing_balls" / "bouncing_balls.py", directory)
        (directory / "clips").mkdir(exist_ok=True)
        first, *more = [Image.fromarray(np.eye(IMAGE_SIZE, k=k, dtype=np.uint8) * 255) for k in range(9)]
        first.save(directory / "clips" / "line.gif", save_all=True, append_images=more)
        _write_videos(directory / "videos")

    def __enter__(self) -> "Reader":
        self._servers.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._servers.__exit__(*error)

    def run(self, block: Block) -> None:
        """Run a block and look whether it did what it says; or keep it, if it is a file."""
        if block.file:
            (self.directory / block.file).write_text(block.source + "\n")
        elif block.language == "python":
            self._run_python(block)
        else:
            for command in block.commands():
                self.run_command(command)

    def run_command(self, command: Command) -> None:
        """Run a command of a shell, and look for what it is to have written."""
        text = made_small(self._in_directory(command.text))
        if ready := next((SERVERS[each] for each in SERVERS if re.match(rf"({_PYTHON})?{each} ", text)), ""):
            self._serve(text.rstrip(" &"), ready)
        elif re.match(rf"({_PYTHON})?pip install ", text):
            self._install(Command(command.place, text))
        elif text.startswith("make "):
            targets = {word for word in shlex.split(text)[1:] if "=" not in word}
            self.make(Command(command.place, text), expand_only=not targets <= TARGETS)
        else:
            start = time.time()
            self._shell(Command(command.place, text))
            for written in outputs(text):
                _check_written(command, self.directory / written, since=start)

    def make(self, command: Command, expand_only: bool) -> None:
        """Run a target of make, or see how it expands; nothing is installed."""
        sizes = [f"{name.upper()}={value}" for flags in SIZES.values() for name, value in flags.items()]
        options = ["--old-file=install", "--old-file=install-dev", f"VENV={sys.prefix}", *sizes]
        if "DEMO_DIR=" not in command.text:
            options.append(f"DEMO_DIR={self.directory}/demo")
        if expand_only:
            options.append("--dry-run")
        text = f"{command.text} --directory={ROOT} {shlex.join(options)}"
        self._shell(Command(command.place, text))

    def _install(self, command: Command) -> None:
        """Have pip build what a command names, without installing it, and look for the extras."""
        report = self.directory / "report.json"
        options = "--dry-run --no-deps --no-build-isolation --disable-pip-version-check --quiet"
        text = command.text.replace("pip install ", f"pip install {options} --report {report} ", 1)
        self._shell(Command(command.place, text), cwd=ROOT)
        (found,) = json.loads(report.read_text())["install"]
        unknown = set(found.get("requested_extras", [])) - set(found["metadata"].get("provides_extra", []))
        assert not unknown, f"{command.place}: setup.py has no extra {unknown}"

    def _serve(self, text: str, ready: str) -> None:
        name = f"server-{time.monotonic_ns()}"
        self._servers.start(name, ["bash", "-c", f"exec {text}"], self._environment)
        self._servers.wait_until(lambda: ready in self._servers.log(name), 60)

    def _run_python(self, block: Block) -> None:
        script = self.directory / "block.py"
        needed = [NAMES[name] for name in NAMES if name in block.unbound_names()]
        script.write_text(self._in_directory("\n".join([*needed, block.source])) + "\n")
        self._shell(Command(block.place, f"{sys.executable} {script}"))

    def _shell(self, command: Command, cwd: Path | None = None) -> None:
        """Run a command to its end, which is to be a good one, and soon."""
        with (
            open(self.directory / "command.log", "w+", errors="replace") as log,
            subprocess.Popen(
                ["bash", "-c", command.text],
                cwd=cwd or self.directory,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            ) as process,
        ):
            try:
                code: int | str = process.wait(SECONDS)
            except subprocess.TimeoutExpired:
                code = f"still running after {SECONDS} s"
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
            log.seek(0)
            assert code == 0, f"{command.place}: {command.text}\nexit code: {code}\n{log.read()[-4000:]}"

    def _in_directory(self, text: str) -> str:
        """With this reader's directory, interpreter and machine in the places of those in the text."""
        text = re.sub(r"(?<![\w.])/(tmp|shared)/", lambda found: f"{self.directory}/", text)
        text = re.sub(r"(?<![\w/])\.venv/bin/", f"{Path(sys.executable).parent}/", text)
        text = re.sub(r"://[\w.-]+:(\d+)", lambda found: f"://localhost:{self._port(found[1])}", text)
        text = re.sub(r"--host[ =]\S+", "--host localhost", text)
        return re.sub(r"--port[ =](\d+)", lambda found: f"--port {self._port(found[1])}", text)

    def _port(self, written: str) -> int:
        if written not in self._ports:
            (self._ports[written],) = free_ports(1)
        return self._ports[written]


def _write_videos(directory: Path) -> None:
    """Clips of two classes, no two alike; there may be some already."""
    random = np.random.default_rng(0)
    for label in ("clap", "wave"):
        (directory / label).mkdir(parents=True, exist_ok=True)
        for number in range(10):
            pattern = random.integers(0, 256, (8, 8, 3), np.uint8).repeat(4, axis=0).repeat(4, axis=1)
            first, *more = [Image.fromarray(np.roll(pattern, 2 * time, axis=1)) for time in range(9)]
            path = directory / label / f"{number:02}.gif"
            first.save(path, save_all=True, append_images=more, duration=120)


def made_small(text: str) -> str:
    """The command with no flag above its size in `SIZES`."""
    for module, flags in SIZES.items():
        if not re.search(rf"-m {module}\b", text) or "--dataset " in text:  # Of another kind's settings.
            continue
        for name, most in flags.items():
            if given := re.search(rf"--{name}[ =](\d+)", text):
                value = min(int(given[1]), most)
                text = f"{text[: given.start()]}--{name} {value}{text[given.end() :]}"
            else:
                text = re.sub(rf"-m {module}\b", rf"\g<0> --{name} {most}", text)
    return text


def outputs(text: str) -> list[str]:
    """The files and directories that a command says it writes."""
    found = []
    for _, words in programs(text):
        if "--dry_run" not in words:
            pairs = re.findall(r"--(\w+)[ =](\S+)", " ".join(words))
            found += [value for flag, value in pairs if flag in OUTPUTS]
    return found


def _check_written(command: Command, path: Path, since: float) -> None:
    assert path.exists(), f"{command.place}: {command.text}\nwrote no {path}"
    if path.is_dir():
        assert any(path.iterdir()), f"{command.place}: {command.text}\nleft {path} empty"
    else:  # Clocks of file systems are coarse.
        assert path.stat().st_mtime > since - 0.1, f"{command.place}: {command.text}\nleft {path} as it was"
