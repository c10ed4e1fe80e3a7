"""What devices that train together tell each other, read from what XLA compiled of a real run."""

import re
from pathlib import Path

import pytest

from tests.conftest import make_dataset
from tests.processes import environment, run_python

pytest.importorskip("jax")

# Of a batch's parts; what sums up gradients is the only one that data parallelism needs.
_GATHERING = re.compile(r" (all-gather|all-to-all|collective-permute|collective-broadcast)(-start)?\(")
_SUMMING = re.compile(r" all-reduce(-start)?\(")


@pytest.mark.parametrize(
    ("devices", "encoding"),
    [
        pytest.param(2, "path", marks=pytest.mark.slow),
        pytest.param(4, "path", marks=pytest.mark.storm),
        pytest.param(2, "frames", marks=pytest.mark.storm),
        pytest.param(4, "frames", marks=pytest.mark.storm),
    ],
)
def test_no_device_is_sent_anothers_part_of_a_batch(tmp_path: Path, devices: int, encoding: str) -> None:
    data = make_dataset(tmp_path / "data", encoding=encoding)
    compiled = tmp_path / "compiled"
    flags = (
        f"--xla_force_host_platform_device_count={devices} --xla_dump_to={compiled} --xla_dump_hlo_as_text"
    )
    done = run_python(
        *("-m", "trainer.task", f"--data_dir={data}", f"--model_dir={tmp_path / 'run'}"),
        *("--epochs=1", "--steps_per_epoch=2", f"--batch_size={8 * devices}"),
        variables=environment(KERAS_BACKEND="jax", XLA_FLAGS=flags),
    )
    assert done.returncode == 0, done.stderr
    assert f"{devices} replicas" in done.stdout
    for step in ("train_step", "test_step"):
        (found,) = compiled.glob(f"*jit_{step}*after_optimizations.txt")
        lines = found.read_text().splitlines()
        assert [line for line in lines if _GATHERING.search(line)] == []
        assert any(map(_SUMMING.search, lines))
