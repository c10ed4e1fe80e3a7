"""Boots a Beam worker on a machine that has Beam but not this project; needs nothing but this file.

A runner starts it by Beam's container contract (``--environment_type=PROCESS``, or a worker pool's
``--container_executable``). It asks the runner what the job brought along (``--setup_file``,
``--extra_package``), builds and installs that beside the machine's own packages, once a version, and becomes
Beam's Python worker.

What it installs is kept below the temporary folder, where anybody may put anything: in a directory that is of
this user alone, and used only while every file is what was installed.

The machine's Python needs Beam, NumPy, google-crc32c and setuptools; no TensorFlow.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import hashlib
import json
import os
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

import grpc
from apache_beam.portability.api import (
    beam_artifact_api_pb2,
    beam_artifact_api_pb2_grpc,
    beam_provision_api_pb2,
    beam_provision_api_pb2_grpc,
    beam_runner_api_pb2,
    endpoints_pb2,
)
from google.protobuf import json_format, text_format

_PACKAGE = "workflow.tar.gz"  # As Beam names what it builds from a setup file.
_SECONDS_TO_ANSWER = 60


def main() -> None:
    """Fetch, install, become the worker."""
    flags = _flags()
    worker = [("worker_id", flags.id)]  # Runners tell workers apart by this header.
    with grpc.insecure_channel(flags.provision_endpoint) as channel:
        stub = beam_provision_api_pb2_grpc.ProvisionServiceStub(channel)
        request = beam_provision_api_pb2.GetProvisionInfoRequest()
        info = stub.GetProvisionInfo(request, metadata=worker, timeout=_SECONDS_TO_ANSWER).info
    environment = {
        **os.environ,
        "WORKER_ID": flags.id,
        "PIPELINE_OPTIONS": json_format.MessageToJson(info.pipeline_options),
        "CONTROL_API_SERVICE_DESCRIPTOR": _descriptor(flags.control_endpoint or info.control_endpoint.url),
        "LOGGING_API_SERVICE_DESCRIPTOR": _descriptor(flags.logging_endpoint or info.logging_endpoint.url),
        "RUNNER_CAPABILITIES": " ".join(info.runner_capabilities),
    }
    packages = _fetch(flags.artifact_endpoint or info.artifact_endpoint.url, info.dependencies, worker)
    base = own_directory()
    if packages:
        environment["PYTHONPATH"] = os.pathsep.join(str(install(package, base)) for package in packages)
    command = [sys.executable, "-m", "apache_beam.runners.worker.sdk_worker_main"]
    os.chdir(base)  # Python looks for packages where it is started.
    os.execve(sys.executable, command, environment)


def _flags() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("id", "logging_endpoint", "artifact_endpoint", "provision_endpoint", "control_endpoint"):
        parser.add_argument(f"--{name}", default="")
    return parser.parse_known_args()[0]


def _descriptor(url: str) -> str:
    text: str = text_format.MessageToString(endpoints_pb2.ApiServiceDescriptor(url=url))
    return text


def _fetch(endpoint: str, dependencies: Iterable[object], worker: list[tuple[str, str]]) -> list[bytes]:
    """The packages that the job brought along: ``--setup_file``, and every ``--extra_package X.tar.gz``."""
    packages = []
    with grpc.insecure_channel(endpoint) as channel:
        stub = beam_artifact_api_pb2_grpc.ArtifactRetrievalServiceStub(channel)
        wanted = beam_artifact_api_pb2.ResolveArtifactsRequest(artifacts=dependencies)
        for artifact in stub.ResolveArtifacts(wanted, metadata=worker).replacements:
            staged = beam_runner_api_pb2.ArtifactStagingToRolePayload.FromString(artifact.role_payload)
            if staged.staged_name.endswith(".tar.gz"):
                request = beam_artifact_api_pb2.GetArtifactRequest(artifact=artifact)
                blocks = stub.GetArtifact(request, metadata=worker)
                packages.append(b"".join(block.data for block in blocks))
    return packages


def own_directory() -> Path:
    """A directory below the temporary folder that nobody else can write to; ends the program if it is not."""
    base = Path(tempfile.gettempdir()) / f"moving-lines-workers-{os.getuid()}"
    with contextlib.suppress(FileExistsError):
        base.mkdir(mode=0o700)
    found = base.lstat()  # Of a symbolic link, the link itself.
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        sys.exit(
            f"{base}: is not a directory of this user alone (mode 0700), so code in it is not run; "
            "remove it, or set TMPDIR to a directory of your own"
        )
    return base


def install(package: bytes, base: Path) -> Path:
    """A directory with the package in it; made once, whichever worker comes first, and again when damaged.

    Args:
        package: the archive of its sources.
        base: see `own_directory`.
    """
    kept = base / hashlib.sha256(package).hexdigest()
    site, digests = kept / "site", kept / "digests.json"
    with open(base / "lock", "wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # Until the file is closed, also by this process' death.
        if _is_whole(site, digests):
            return site
        with tempfile.TemporaryDirectory(dir=base) as directory:
            source, made = Path(directory) / _PACKAGE, Path(directory) / "made"
            source.write_bytes(package)
            pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
            # Nothing is downloaded: the machine has what the package needs, or an error says what it lacks.
            options = ["--no-deps", "--no-build-isolation", "--no-cache-dir", "--no-compile"]
            command = [*pip, *options, "--target", str(made / site.name), str(source)]
            subprocess.run(command, check=True, cwd=directory)
            (made / digests.name).write_text(json.dumps(_digests(made / site.name)))
            with contextlib.suppress(FileNotFoundError):
                kept.rename(Path(directory) / "damaged")
            made.rename(kept)
    return site


def _is_whole(site: Path, digests: Path) -> bool:
    """Whether every file that was installed is there as it was; Python may have compiled some since."""
    try:
        installed = json.loads(digests.read_text())
    except (OSError, ValueError):  # Not there, or not whole itself.
        return False
    return bool(installed.items() <= _digests(site).items())


def _digests(site: Path) -> dict[str, str]:
    files = (file for file in site.rglob("*") if file.is_file())
    return {str(file.relative_to(site)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


if __name__ == "__main__":
    main()
