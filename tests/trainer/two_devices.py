"""A training on two devices of one machine, which the CPU stands for."""

from pathlib import Path

from tests.processes import environment, run_python

_TASK = (
    "import tensorflow as tf, runpy, sys;"
    "tf.config.set_logical_device_configuration(tf.config.list_physical_devices('CPU')[0],"
    "[tf.config.LogicalDeviceConfiguration()] * 2); sys.argv[0] = 'task';"
    "runpy.run_module('trainer.task', run_name='__main__')"
)


def train_on_two_devices(config: Path, run: Path) -> None:
    """Train as a ``config.json`` says into another run directory."""
    flags = [f"--config={config}", f"--model_dir={run}", "--distribution=mirrored"]
    done = run_python("-c", _TASK, *flags, variables=environment())
    assert done.returncode == 0, done.stderr
    assert "1 processes with 2 replicas each" in done.stdout
