"""A worker is booted with what its job brought along, and runs nobody else's code."""

import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from apache_beam.portability.api import (
    beam_artifact_api_pb2,
    beam_artifact_api_pb2_grpc,
    beam_fn_api_pb2_grpc,
    beam_provision_api_pb2,
    beam_provision_api_pb2_grpc,
    beam_runner_api_pb2,
)
from google.protobuf import json_format

from pipeline.workers.worker_boot import install, own_directory
from tests.conftest import ROOT
from tests.processes import environment

# The worker imports it, and it tells from where.
BROUGHT = 'import os, pathlib; pathlib.Path(os.environ["TOLD"] + str(os.getpid())).write_text(__file__)\n'


def archive(code: str = BROUGHT) -> bytes:
    """A package as a job brings it along, with one module, `brought`, and one that tests damage."""
    files = {
        "setup.py": 'from setuptools import setup\nsetup(name="brought", py_modules=["brought", "other"])\n',
        "brought.py": code,
        "other.py": "",
    }
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, text in files.items():
            member = tarfile.TarInfo(f"brought-0/{name}")
            member.size = len(text)
            tar.addfile(member, io.BytesIO(text.encode()))
    return buffer.getvalue()


PACKAGE = archive()
KEPT = hashlib.sha256(PACKAGE).hexdigest()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The temporary folder of workers, also of this process."""
    directory = tmp_path / "shared"
    directory.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(directory))
    return directory


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A worker's own directory with the package in it, for tests to copy."""
    base = tmp_path_factory.mktemp("installed")
    install(PACKAGE, base)
    return base


@pytest.fixture
def base(folder: Path, installed: Path) -> Path:
    """Such a copy, in its place."""
    return Path(shutil.copytree(installed, own_directory(), dirs_exist_ok=True))


class Runner(
    beam_provision_api_pb2_grpc.ProvisionServiceServicer,
    beam_artifact_api_pb2_grpc.ArtifactRetrievalServiceServicer,
    beam_fn_api_pb2_grpc.BeamFnControlServicer,
    beam_fn_api_pb2_grpc.BeamFnLoggingServicer,
):
    """What a runner offers to a worker that boots: its options, the package, and the end of its work."""

    def __init__(self) -> None:
        self.endpoint = ""

    def GetProvisionInfo(self, request: object, context: object) -> Any:  # noqa: N802
        endpoints = {f"{name}Endpoint": {"url": self.endpoint} for name in ("control", "logging", "artifact")}
        info = {"pipelineOptions": {"beam:option:beam_plugins:v1": ["brought"]}, **endpoints}
        return json_format.ParseDict({"info": info}, beam_provision_api_pb2.GetProvisionInfoResponse())

    def ResolveArtifacts(self, request: object, context: object) -> Any:  # noqa: N802
        role = beam_runner_api_pb2.ArtifactStagingToRolePayload(staged_name="workflow.tar.gz")
        artifact = beam_runner_api_pb2.ArtifactInformation(role_payload=role.SerializeToString())
        return beam_artifact_api_pb2.ResolveArtifactsResponse(replacements=[artifact])

    def GetArtifact(self, request: object, context: object) -> Iterator[Any]:  # noqa: N802
        yield beam_artifact_api_pb2.GetArtifactResponse(data=PACKAGE[:100])
        yield beam_artifact_api_pb2.GetArtifactResponse(data=PACKAGE[100:])

    def Control(self, requests: object, context: object) -> Iterator[Any]:  # noqa: N802
        return iter(())  # There is nothing to do, and a worker ends.

    def Logging(self, requests: Iterator[object], context: object) -> Iterator[Any]:  # noqa: N802
        for _ in requests:
            yield from ()


@contextmanager
def serving() -> Iterator[str]:
    """Where such a runner listens."""
    runner = Runner()
    server = grpc.server(ThreadPoolExecutor(16))
    beam_provision_api_pb2_grpc.add_ProvisionServiceServicer_to_server(runner, server)
    beam_artifact_api_pb2_grpc.add_ArtifactRetrievalServiceServicer_to_server(runner, server)
    beam_fn_api_pb2_grpc.add_BeamFnControlServicer_to_server(runner, server)
    beam_fn_api_pb2_grpc.add_BeamFnLoggingServicer_to_server(runner, server)
    runner.endpoint = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    try:
        yield runner.endpoint
    finally:
        server.stop(None).wait()


def boot(endpoint: str, folder: Path) -> "subprocess.Popen[str]":
    """Start a worker as an engine does: with nothing of this project but the one file."""
    return subprocess.Popen(
        [
            sys.executable,
            ROOT / "pipeline" / "workers" / "worker_boot.py",
            "--id=1",
            f"--provision_endpoint={endpoint}",
        ],
        cwd=folder,
        env=environment(PYTHONPATH="", TMPDIR=str(folder), TOLD=str(folder.parent / "told-")),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def end(process: "subprocess.Popen[str]") -> str:
    """Wait for a worker's end; what it printed."""
    try:
        output, _ = process.communicate(timeout=120)
    finally:
        process.kill()
    return output


def told(folder: Path) -> list[str]:
    """From where workers imported the package."""
    return [path.read_text() for path in folder.parent.glob("told-*")]


@pytest.mark.storm
def test_workers_that_start_at_once_install_it_once_and_look_nowhere_else(folder: Path) -> None:
    (folder / "apache_beam").mkdir()
    (folder / "apache_beam" / "__init__.py").write_text("raise SystemExit('planted code ran')\n")
    with serving() as endpoint:
        for output in [end(process) for process in [boot(endpoint, folder) for _ in range(2)]]:
            assert "planted" not in output
    brought = own_directory() / KEPT / "site" / "brought.py"
    assert told(folder) == [str(brought)] * 2
    assert {path.name for path in own_directory().iterdir()} == {KEPT, "lock"}


def _plant(directory: Path) -> Path:
    """What another user puts where the package is looked for."""
    site = directory / KEPT / "site"
    site.mkdir(parents=True)
    (site / "brought.py").write_text("raise SystemExit('planted code ran')\n")
    digests = {"brought.py": hashlib.sha256((site / "brought.py").read_bytes()).hexdigest()}
    (directory / KEPT / "digests.json").write_text(json.dumps(digests))
    return directory


def _open_to_others(base: Path, elsewhere: Path) -> None:
    _plant(base).chmod(0o770)


def _link(base: Path, elsewhere: Path) -> None:
    _plant(elsewhere).chmod(0o700)
    base.symlink_to(elsewhere)


def _others(base: Path, elsewhere: Path) -> None:
    if os.getuid() != 0:
        pytest.skip("only root can give a directory to another user")
    _plant(base).chmod(0o700)
    os.chown(base, 12345, 12345)


def _file(base: Path, elsewhere: Path) -> None:
    base.write_text("")


@pytest.mark.parametrize(
    "plant",
    [_open_to_others, *(pytest.param(each, marks=pytest.mark.storm) for each in (_link, _others, _file))],
)
def test_a_planted_directory_ends_the_worker_with_one_line(folder: Path, tmp_path: Path, plant: Any) -> None:
    base = own_directory()
    base.rmdir()
    plant(base, tmp_path / "elsewhere")
    with serving() as endpoint:
        process = boot(endpoint, folder)
        (line,) = [line for line in end(process).splitlines() if line.startswith(str(base))]
    assert process.returncode == 1
    assert "is not a directory of this user alone (mode 0700)" in line
    assert "set TMPDIR" in line
    assert told(folder) == []


@pytest.mark.storm
def test_nothing_is_trusted_because_of_its_name(folder: Path) -> None:
    planted = folder / f"moving-lines-{KEPT[:16]}"
    planted.mkdir()
    (planted / "brought.py").write_text("planted\n")
    base = own_directory()
    assert (install(PACKAGE, base) / "brought.py").read_text() == BROUGHT
    assert (install(archive("another = 1\n"), base) / "brought.py").read_text() == "another = 1\n"


def test_its_directory_is_of_this_user_alone(folder: Path) -> None:
    before = os.umask(0)
    try:
        base = own_directory()
    finally:
        os.umask(before)
    assert base.parent == folder
    assert base.stat().st_mode & 0o777 == 0o700
    assert own_directory() == base


def _unlink(site: Path) -> None:
    (site / "other.py").unlink()


def _change(site: Path) -> None:
    (site / "other.py").write_text("changed\n")


def _forget(site: Path) -> None:
    (site.parent / "digests.json").unlink()


def _cut(site: Path) -> None:
    record = site.parent / "digests.json"
    record.write_text(record.read_text()[:-1])


@pytest.mark.parametrize(
    "damage", [_unlink, *(pytest.param(each, marks=pytest.mark.storm) for each in (_change, _forget, _cut))]
)
def test_a_whole_one_is_used_again_and_a_damaged_one_made_anew(base: Path, damage: Any) -> None:
    site = base / KEPT / "site"
    made = site.stat().st_ino
    subprocess.run([sys.executable, "-m", "compileall", "-q", site], check=True)  # As importing it does.
    assert install(PACKAGE, base) == site
    assert site.stat().st_ino == made
    damage(site)
    assert install(PACKAGE, base) == site
    assert site.stat().st_ino != made
    assert (site / "other.py").read_text() == ""
    assert {path.name for path in base.iterdir()} == {KEPT, "lock"}


def test_a_damaged_one_is_made_anew_once_by_workers_that_start_at_once(base: Path) -> None:
    site = base / KEPT / "site"
    _unlink(site)
    made: list[int] = []
    threads = [
        threading.Thread(target=lambda: made.append(install(PACKAGE, base).stat().st_ino)) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 3
    assert len(set(made)) == 1
    assert (site / "other.py").exists()
