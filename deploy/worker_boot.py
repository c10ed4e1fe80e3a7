"""Boots a Beam worker on a machine that has Beam but not this project; needs nothing but this file.

A runner starts it by Beam's container contract (``--environment_type=PROCESS``, or a worker pool's
``--container_executable``). It asks the runner what the job brought along (``--setup_file ./setup.py``),
builds and installs that beside the machine's own packages, once a version, and becomes Beam's Python worker.

The machine's Python needs what `setup.py` of the project requires, and setuptools; no TensorFlow.
"""

from __future__ import annotations

import argparse
import hashlib
import os
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
    package = _fetch(flags.artifact_endpoint or info.artifact_endpoint.url, info.dependencies, worker)
    if package is not None:
        environment["PYTHONPATH"] = str(_install(package))
    command = [sys.executable, "-m", "apache_beam.runners.worker.sdk_worker_main"]
    os.chdir(tempfile.gettempdir())  # Python looks for packages where it is started.
    os.execve(sys.executable, command, environment)


def _flags() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("id", "logging_endpoint", "artifact_endpoint", "provision_endpoint", "control_endpoint"):
        parser.add_argument(f"--{name}", default="")
    return parser.parse_known_args()[0]


def _descriptor(url: str) -> str:
    text: str = text_format.MessageToString(endpoints_pb2.ApiServiceDescriptor(url=url))
    return text


def _fetch(endpoint: str, dependencies: Iterable[object], worker: list[tuple[str, str]]) -> bytes | None:
    """The package that the job brought along, if any."""
    with grpc.insecure_channel(endpoint) as channel:
        stub = beam_artifact_api_pb2_grpc.ArtifactRetrievalServiceStub(channel)
        wanted = beam_artifact_api_pb2.ResolveArtifactsRequest(artifacts=dependencies)
        for artifact in stub.ResolveArtifacts(wanted, metadata=worker).replacements:
            staged = beam_runner_api_pb2.ArtifactStagingToRolePayload.FromString(artifact.role_payload)
            if os.path.basename(staged.staged_name) == _PACKAGE:
                request = beam_artifact_api_pb2.GetArtifactRequest(artifact=artifact)
                return b"".join(block.data for block in stub.GetArtifact(request, metadata=worker))
    return None


def _install(package: bytes) -> Path:
    """A directory with the package in it; made once, whichever worker comes first."""
    site = Path(tempfile.gettempdir()) / f"moving-lines-{hashlib.sha256(package).hexdigest()[:16]}"
    if site.is_dir():
        return site
    with tempfile.TemporaryDirectory(prefix=f"{site.name}-") as directory:
        source = Path(directory) / _PACKAGE
        source.write_bytes(package)
        made = Path(directory) / "site"
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        # Nothing is downloaded: the machine has what the package needs, or says by an error what it lacks.
        options = ["--no-deps", "--no-build-isolation", "--no-cache-dir", "--target", str(made), str(source)]
        subprocess.run([*pip, *options], check=True, cwd=directory)
        try:
            made.rename(site)
        except OSError:  # Another worker was quicker.
            if not site.is_dir():
                raise
    return site


if __name__ == "__main__":
    main()
