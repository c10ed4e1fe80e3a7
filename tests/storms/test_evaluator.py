"""The evaluator is killed, and its disk runs full: the old metrics stay, or the new ones are there whole."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import jsonschema
import pytest

from tests.conftest import ROOT, make_dataset
from tests.processes import environment

pytestmark = pytest.mark.storm

SCHEMA = json.loads((ROOT / "docs" / "metrics.schema.json").read_text())
NUM_KILLS = 12


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set that takes some seconds to judge."""
    return make_dataset(tmp_path_factory.mktemp("data") / "d", num_test=40_000)


@pytest.fixture(scope="module")
def seconds(dataset: Path, run_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> float:
    """How long an undisturbed evaluation takes."""
    start = time.monotonic()
    job = _start(dataset, run_dir, tmp_path_factory.mktemp("whole") / "m.json")
    assert job.wait(timeout=120) == 0
    return time.monotonic() - start


def _start(dataset: Path, run: Path, output: Path) -> "subprocess.Popen[bytes]":
    flags = [f"--data_dir={dataset}", f"--model_dir={run}", f"--output={output}"]
    more = ["--plots", str(output.parent / "plots")]
    command = [sys.executable, "-m", "trainer.evaluate", *flags, *more]
    return subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE)


@pytest.mark.parametrize("number", range(NUM_KILLS))
def test_a_killed_evaluator_leaves_whole_metrics(
    tmp_path: Path, dataset: Path, run_dir: Path, seconds: float, number: int
) -> None:
    output = tmp_path / "m.json"
    output.write_text("old")
    generator = random.Random(number)
    job = _start(dataset, run_dir, output)
    # A third of them while files are being written, at the end.
    if number % 3:
        time.sleep(generator.uniform(0, seconds))
    else:
        deadline = time.monotonic() + 120
        while output.read_text() == "old" and job.poll() is None and time.monotonic() < deadline:
            time.sleep(0.0005)
        time.sleep(generator.uniform(0, 0.5))
    if job.poll() is None:
        os.kill(job.pid, signal.SIGKILL)
    job.communicate(timeout=60)
    if output.read_text() != "old":
        jsonschema.validate(json.loads(output.read_text()), SCHEMA)
    for picture in (tmp_path / "plots").glob("[!.]*.png"):
        assert picture.read_bytes().endswith(b"IEND\xaeB`\x82")
    for page in (tmp_path / "plots").glob("[!.]*.html"):
        assert page.read_text().endswith("</html>\n")


@pytest.mark.parametrize("what", ["metrics", "plots", "saved_model", "onnx", "litert", "answers"])
def test_a_full_disk_is_one_line_and_leaves_the_old(tmp_path: Path, run_dir: Path, what: str) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a tmpfs cannot be mounted: that takes root")
    try:
        data = make_dataset(tmp_path / "d", num_test=3_000)
        # What lies there already, and no room for more.
        old = {disk / name: b"old" for name in ("m.json", "model.onnx", "model.tflite", "a.jsonl")}
        for path, content in old.items():
            path.write_bytes(content)
        with pytest.raises(OSError, match="No space"):
            (disk / "ballast").write_bytes(bytes(2**20))
        judge = ["trainer.evaluate", f"--data_dir={data}", f"--model_dir={run_dir}"]
        export = ["trainer.export", f"--model_dir={run_dir}", f"--output_dir={disk}", f"--format={what}"]
        shard = data / "moving_line-test.tfrecord-00000-of-00016"
        answers = [
            "trainer.predict",
            f"--model_dir={run_dir}",
            f"--input={shard}",
            f"--output={disk}/a.jsonl",
        ]
        job = {
            "metrics": [*judge, f"--output={disk}/m.json"],
            "plots": [*judge, f"--output={tmp_path}/m.json", f"--plots={disk}/plots"],
            "answers": answers,
        }.get(what, export)
        done = subprocess.run(
            [sys.executable, "-m", *job], env=environment(), capture_output=True, text=True, timeout=120
        )
        assert done.returncode in (1, 2), done.stderr
        errors = [
            line for line in done.stderr.splitlines() if not line.startswith(("evaluating", "predicting"))
        ]
        assert len(errors) == 1
        assert str(disk) in errors[0]
        assert "No space left on device" in errors[0]
        assert all(path.read_bytes() == content for path, content in old.items())
        left = {path.name for path in disk.rglob("*") if path.is_file()}
        assert left == {"ballast", *(path.name for path in old)}
    finally:
        subprocess.run(["umount", str(disk)], check=True, timeout=30)
