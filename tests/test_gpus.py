"""Programs on machines with GPUs, for which CPU devices stand: see `tests/gpus/site/sitecustomize.py`."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.step_needs import Network, forward_operations, training_bytes
from model import build_classifier
from tests.conftest import ROOT
from tests.processes import children, environment, run_python

SITE = Path(__file__).parent / "gpus" / "site"
BACKENDS = ("tensorflow", "jax")
BENCHMARK = (
    *("--image_size", "6", "--num_path", "64", "--num_frames", "64", "--steps", "2", "--rounds", "1"),
    *("--batch_sizes", "4"),
)
FIGURES = {"draw frames", "read shuffled paths", "read shuffled frames"}


def _variables(gpus: int, *folders: Path, **more: str) -> dict[str, str]:
    """Of a process that sees so many GPUs, and nothing of those that the machine may have.

    CUDA sees no device at and behind a number that does not exist; nobody has hidden them on purpose then.
    """
    found = environment(**{"STAND_IN_GPUS": str(gpus), "CUDA_VISIBLE_DEVICES": "99", **more})
    found["PYTHONPATH"] = os.pathsep.join(map(str, (*folders, SITE, ROOT)))
    found.pop("JAX_PLATFORMS", None)
    return found


def _start(variables: dict[str, str], *arguments: str | Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, *map(str, arguments)],
        cwd=ROOT,
        env=variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _run(variables: dict[str, str], *arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    return run_python(*arguments, variables=variables, timeout=900)


BEGIN = """
import os, sys
from trainer.command_line.startup import import_tensorflow_quietly
import_tensorflow_quietly()
import tensorflow as tf
from trainer.distributed.devices import choose_device

def growth():
    gpus = tf.config.list_physical_devices("GPU")
    return {tf.config.experimental.get_memory_growth(gpu) for gpu in gpus}

def refused(device):
    try:
        return choose_device(device)
    except Exception as error:
        return f"{type(error).__name__} {error}"

def answers(architecture, precision="float32"):
    import numpy as np
    from model import build_classifier
    from model.moving_line import with_sequence_inputs
    from pipeline.moving_line.lines import draw_frames, sample_sequences

    classifier = build_classifier(6, architecture, precision=precision)
    random = np.random.default_rng(0)
    classifier.set_weights([random.normal(0, 0.5, each.shape) for each in classifier.get_weights()])
    frames = draw_frames(*sample_sequences(0, "train", 6, 0, 8))
    model = with_sequence_inputs(classifier, 6, "frames")
    return np.round(model({"frames": frames.astype("uint8")}), 4)[:, 0].tolist()

def trained(data, run, on_corrupt):
    from trainer.training.settings import Execution, TrainingSettings
    from trainer.training.loop import train

    settings = TrainingSettings(epochs=1, steps_per_epoch=2, batch_size=16)
    return train(settings, data, run, Execution(on_corrupt=on_corrupt)).step

for case in sys.argv[1:]:
    if not (pid := os.fork()):
        for line in eval(case):
            print(line, flush=True)
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    print("-- end", flush=True)
"""
END = "-- end"


def _answers(variables: dict[str, str], *cases: str) -> list[list[str]]:
    """What expressions come to, each in a process of its own that has imported TensorFlow and no more."""
    done = _run(variables, "-c", BEGIN, *cases)
    assert done.returncode == 0, done.stderr
    return [case.splitlines() for case in done.stdout.removesuffix(f"\n{END}\n").split(f"\n{END}\n")]


DIVIDED = "tf.config.set_logical_device_configuration(gpu, [tf.config.LogicalDeviceConfiguration(64)])"


@pytest.mark.slow
def test_a_device_is_chosen_whatever_was_before() -> None:
    twice, started, divided, same, half, hidden = _answers(
        _variables(2),
        "[choose_device('auto'), growth(), tf.constant(1).numpy(), choose_device('gpu'), refused('cpu')]",
        "[len(tf.config.list_logical_devices('GPU')), choose_device('gpu'), growth()]",
        f"[*({DIVIDED} for gpu in tf.config.list_physical_devices('GPU')), choose_device('gpu')]",
        "[choose_device('gpu'), answers('folded'), answers('layerwise')]",
        "[choose_device('gpu'), len(answers('folded', 'mixed_bfloat16'))]",
        "[choose_device('cpu'), choose_device('auto'), refused('gpu')]",
    )
    assert half[1] == "8"
    assert same[1] == same[2]  # The network has kernels of its own where there are GPUs.
    assert divided[-1] == "2 GPU (stand-in)"
    assert twice[:4] == ["2 GPU (stand-in)", "{True}", "1", "2 GPU (stand-in)"]
    assert twice[4].startswith("RequestError --device cpu: TensorFlow has already started on a GPU")
    assert started == ["2", "2 GPU (stand-in)", "{None}"]
    assert hidden[:2] == ["CPU", "CPU"]
    assert hidden[2].startswith("RequestError --device gpu: TensorFlow sees no GPU, for this process hides")


@pytest.mark.storm
@pytest.mark.parametrize("on_corrupt", ["fail", "skip"])
def test_nothing_starts_tensorflow_before_the_choice(
    on_corrupt: str, path_dataset_dir: Path, tmp_path: Path
) -> None:
    """Two trainings in a process, each by all GPUs."""
    runs = [f"trained({str(path_dataset_dir)!r}, {str(tmp_path / name)!r}, {on_corrupt!r})" for name in "ab"]
    ((*_, first, second, grown),) = _answers(_variables(2), f"[{', '.join(runs)}, growth()]")
    assert (first, second, grown) == ("2", "2", "{True}")


@pytest.mark.storm
def test_jax_keeps_tensorflow_off_its_gpus() -> None:
    ((device, visible),) = _answers(
        _variables(2, KERAS_BACKEND="jax"), "[choose_device('auto'), tf.config.get_visible_devices('GPU')]"
    )
    assert (device, visible) == ("2 GPU (stand-in)", "[]")


@pytest.fixture
def driver(tmp_path: Path) -> str:
    """A PATH with a driver's program that lists a GPU."""
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 'GPU 0: NVIDIA L4 (UUID: GPU-0)'\n")
    program.chmod(0o755)
    return os.pathsep.join([str(program.parent), os.environ["PATH"]])


@pytest.mark.parametrize(
    ("backend", "library", "extra"),
    [
        pytest.param("tensorflow", "TensorFlow", "gpu", marks=pytest.mark.slow),
        pytest.param("jax", "JAX", "jax-cuda", marks=pytest.mark.storm),
    ],
)
def test_a_gpu_that_the_backend_does_not_see_is_told(
    backend: str, library: str, extra: str, driver: str
) -> None:
    variables = _variables(0, KERAS_BACKEND=backend, PATH=driver)
    hide = "os.environ.update(CUDA_VISIBLE_DEVICES='')"
    cases = ("[choose_device('auto'), refused('gpu')]", f"[{hide}, choose_device('auto')]")
    done = _run(variables, "-c", BEGIN, *cases)
    assert done.returncode == 0, done.stderr
    (told,) = [line for line in done.stderr.splitlines() if "GPU" in line]
    remedy = f"{library} sees no GPU here: pip install 'moving-lines[{extra}]'"
    assert told.startswith(f"the machine has a GPU, but {remedy}")
    chosen, refused, _, _, again, _ = done.stdout.splitlines()
    assert (chosen, again) == ("CPU", "CPU")
    assert refused.startswith(f"RequestError --device gpu: {remedy}")


@pytest.mark.storm
@pytest.mark.parametrize("module", ["trainer.predict", "trainer.evaluate", "trainer.task"])
def test_programs_go_on_with_the_cpu(
    module: str, driver: str, seeded_run: Path, path_dataset_dir: Path, tmp_path: Path
) -> None:
    flags = {
        "trainer.predict": ("--model_dir", seeded_run),
        "trainer.evaluate": (
            *("--model_dir", seeded_run, "--data_dir", path_dataset_dir),
            *("--output", tmp_path / "metrics.json"),
        ),
        "trainer.task": (
            *("--model_dir", tmp_path / "run", "--data_dir", path_dataset_dir),
            *("--epochs", "1", "--steps_per_epoch", "2"),
        ),
    }[module]
    done = _run(_variables(0, PATH=driver), "-m", module, *flags, "--device", "auto")
    assert done.returncode == 0, done.stderr
    first, *others = done.stderr.splitlines()
    assert first.startswith("the machine has a GPU, but TensorFlow sees no GPU here: pip install ")
    assert all(line.startswith("evaluating ") for line in others)


def test_without_a_gpu_the_benchmark_says_so_in_one_line(tmp_path: Path) -> None:
    """The storms' request with nothing to measure, so that a changed flag is not left to them to find."""
    done = _run(_variables(0), *_benchmark(tmp_path / "bench"))
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert done.stderr.startswith("benchmarks.bench: error: no backend sees a GPU: ")
    assert "'moving-lines[gpu]'" in done.stderr
    assert "'moving-lines[jax-cuda]'" in done.stderr
    assert not list((tmp_path / "bench").iterdir())


def test_needs_are_those_of_the_layers() -> None:
    """Every weight of a kernel takes part once wherever the layer is applied."""
    classifier = build_classifier(9)
    network = Network.of(classifier)
    assert network == Network(9, 2, 50)
    conv, inputs, states = (
        classifier.get_layer(name).trainable_weights[number].value.shape
        for name, number in (("conv", 0), ("lstm", 0), ("lstm", 1))
    )
    places = (2 * network.windows) ** 2  # Those that the pooling looks at.
    sizes = [times * shape[-2] * shape[-1] for times, shape in ((4 * places, conv), (1, inputs), (1, states))]
    assert forward_operations(network, draws_frames=True) == 2 * 9 * sum(sizes)
    # A pixel is seen by three columns of windows; of these each looks at a column of the features.
    columns = 3 * network.windows
    changes = columns * (inputs[0] // network.windows) * inputs[1]
    expected = 2 * (changes + 9 * columns * inputs[1] + 9 * sizes[2])
    assert forward_operations(network, draws_frames=False) == expected
    kept = 9 * (inputs[0] + 200 + 100)
    assert training_bytes(network, True, 9**3, 4) == 2 * (9**3 + 4 * kept)
    assert training_bytes(network, False, 10, 2) == 2 * (10 + 2 * (columns * (2 * 4 + 200) + 9 * 300))


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where results and data sets are, which are made once."""
    return tmp_path_factory.mktemp("bench")


def _results(bench: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((bench / "gpu.json").read_text())["backends"]
    return found


def _benchmark(bench: Path, *more: str) -> tuple[str | Path, ...]:
    return ("-m", "benchmarks.bench", "--rows", "gpu", "--output_dir", bench, *BENCHMARK, *more)


@pytest.mark.storm
@pytest.mark.parametrize("gpus", [1, 2])
def test_everything_is_measured(gpus: int, bench: Path) -> None:
    done = _run(_variables(gpus), *_benchmark(bench))
    assert (done.returncode, done.stderr) == (0, "")
    found = _results(bench)
    assert found.keys() == set(BACKENDS)
    for backend in BACKENDS:
        of = found[backend]
        assert of["device"] == ("1 GPU (stand-in)" if gpus == 1 else "one of 2 GPU (stand-in)")
        assert not of["failed"]
        assert of.keys() >= FIGURES
        assert of["limits"].keys() == {"copy", "float32", "mixed_bfloat16"}
        assert [(row["precision"], row["batch_size"]) for row in of["training"]] == [
            ("float32", 4),
            ("mixed_bfloat16", 4),
        ]
        for row in of["training"]:
            assert row["sides"].keys() == {"paths", "frames", "tutorial"}
            for name in ("paths", "frames"):
                side = row["sides"][name]
                (rate,) = side["rates"]
                rates = of["limits"][row["precision"]], of["limits"]["copy"]
                assert side["of_matrix_rate"] == pytest.approx(side["operations"] * rate / rates[0])
                assert side["of_copy_rate"] == pytest.approx(side["bytes"] * rate / rates[1])
                assert 0 <= side["input_wait"] <= 1
        assert (
            f"| {backend}, {of['device']} | train on frames, mixed_bfloat16, batches of 4 | " in done.stdout
        )
        # Paths are drawn in no precision: the changes of pixels are computed.
        needed = [row["sides"]["paths"]["operations"] for row in of["training"]]
        network = Network(6, 2, 50)
        assert needed == 2 * [3 * forward_operations(network, draws_frames=False)]


@pytest.mark.storm
def test_what_fails_is_a_line_beside_what_does_not(bench: Path, tmp_path: Path) -> None:
    """A batch larger than the data set, and a backend that is not installed."""
    (tmp_path / "jax.py").write_text("raise ModuleNotFoundError(\"No module named 'jax'\", name='jax')\n")
    done = _run(_variables(1, tmp_path), *_benchmark(bench, "--batch_sizes", "1000", "4"))
    assert done.returncode == 1
    found = _results(bench)
    assert [row["batch_size"] for row in found["tensorflow"]["training"]] == [1000, 4] * 2
    assert [len(row["sides"]) for row in found["tensorflow"]["training"]] == [0, 3] * 2
    assert found["tensorflow"].keys() >= FIGURES
    failed = [*found["tensorflow"]["failed"], *found["jax"]["failed"]]
    assert "train on paths, float32, batches of 1000: RequestError: --batch_size 1000" in failed[0]
    assert "the package jax is not installed; pip install 'moving-lines[jax]'" in failed[-1]
    for line in failed:
        assert line in done.stdout
        assert line in done.stderr
    assert len(done.stderr.splitlines()) == len(failed)


@pytest.fixture
def running(bench: Path) -> Iterator["subprocess.Popen[str]"]:
    """The benchmark, ended with its processes."""
    with _start(_variables(1), *_benchmark(bench)) as process:
        yield process
        if process.poll() is None:
            for pid in (*children(process.pid, "benchmarks.gpu_backend"), process.pid):
                os.kill(pid, signal.SIGKILL)


def _wait_for_a_row(process: "subprocess.Popen[str]", bench: Path) -> None:
    """Wait until the first row of training is in the results."""
    results, deadline = bench / "gpu.json", time.monotonic() + 900
    results.unlink(missing_ok=True)
    while not (results.exists() and _results(bench)["jax"]["training"]):
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)


@pytest.mark.storm
def test_a_killed_backend_keeps_its_rows_and_the_other_is_measured(
    bench: Path, running: "subprocess.Popen[str]"
) -> None:
    _wait_for_a_row(running, bench)
    (child,) = children(running.pid, "benchmarks.gpu_backend")
    os.kill(child, signal.SIGKILL)
    output, errors = running.communicate(timeout=900)
    assert running.returncode == 1
    found = _results(bench)
    assert found["jax"]["failed"] == ["its process was ended by SIGKILL"]
    assert errors == "benchmarks.bench: jax: its process was ended by SIGKILL\n"
    assert len(found["jax"]["training"]) == 1
    assert len(found["tensorflow"]["training"]) == 2
    assert "| train on paths, float32, batches of 4 | " in output


@pytest.mark.storm
def test_a_killed_benchmark_leaves_what_it_has_measured(
    bench: Path, running: "subprocess.Popen[str]"
) -> None:
    _wait_for_a_row(running, bench)
    pids = [*children(running.pid, "benchmarks.gpu_backend"), running.pid]
    for pid in reversed(pids):
        os.kill(pid, signal.SIGKILL)
    running.wait(60)
    assert _results(bench)["jax"]["training"][0]["sides"].keys() == {"paths", "frames", "tutorial"}
