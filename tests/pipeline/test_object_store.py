"""The pipeline's programs on an object store, from their command line: as on a disk, nothing left over."""

import json
import signal
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from pipeline.generate import generate
from pipeline.moving_line.definition import MovingLine
from tests.object_store.store import Store

HOME = "store://bucket/deep 1/lines"
SMALL = ["--num_train=300", "--num_validation=40", "--num_test=60", "--image_size=8", "--seed=3"]
SHARD = "moving_line-train.tfrecord-00003-of-00016"
# Enough shards and bytes that a run can be killed, and that verification takes a process for every core.
LARGE = ["--num_train=120000", "--num_validation=500", "--num_test=500", "--sequences_per_shard=3000"]


def _here(store: Store) -> dict[str, bytes]:
    """Everything of the data set by its name, without what tells of time and place."""
    found = store.objects(f"{HOME}/").items()
    return _comparable({path.removeprefix(f"{HOME}/"): content for path, content in found})


def _comparable(files: Mapping[str, bytes]) -> dict[str, bytes]:
    found = dict(files)
    if "manifest.json" in found:
        document = json.loads(found["manifest.json"])
        del document["environment"]
        found["manifest.json"] = json.dumps(document).encode()
    return found


def _on_disk(directory: Path) -> dict[str, bytes]:
    return _comparable({path.name: path.read_bytes() for path in directory.iterdir()})


def _run(store: Store, module: str, *arguments: str, code: int = 0) -> str:
    done = store.run(module, *arguments)
    assert done.returncode == code, done.stdout + done.stderr
    assert len([line for line in done.stderr.splitlines() if "error" in line]) == (code == 2)
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    directory = tmp_path_factory.mktemp("disk") / "d"
    generate(MovingLine(3, 8, "path", 300, 40, 60), str(directory), direct_num_workers=1)
    return _on_disk(directory)


@pytest.mark.parametrize(
    "mode",
    [
        pytest.param("in_memory", marks=pytest.mark.slow),
        pytest.param("multi_processing", marks=pytest.mark.storm),
    ],
)
def test_a_data_set_is_made_verified_repaired_and_replaced_there(
    store: Store, small: dict[str, bytes], mode: str, tmp_path: Path
) -> None:
    beside = {"store://bucket/deep 1/lines2/moving_line-train.tfrecord-00000-of-00001": b"not ours"}
    for path, content in beside.items():
        store.put(path, content)
    workers = [f"--direct_running_mode={mode}", f"--direct_num_workers={1 if mode == 'in_memory' else 2}"]
    request = [f"--output_dir={HOME}", *SMALL, *workers]
    assert "free disk    unknown" in _run(store, "pipeline.generate", *request, "--dry_run")
    assert "fingerprint" in _run(store, "pipeline.generate", *request)
    assert _here(store) == small
    assert "nothing to do" in _run(store, "pipeline.generate", *request)
    assert "already there" in _run(store, "pipeline.generate", *request, "--dry_run")
    assert "every byte is as it should be" in _run(store, "pipeline.verify", HOME)
    picture = tmp_path / "line.png"
    _run(store, "pipeline.preview", f"--output={picture}", f"--data_dir={HOME}", "--split=test")
    assert picture.stat().st_size > 0

    store.put(f"{HOME}/{SHARD}", small[SHARD][:-1])
    store.remove(f"{HOME}/features.json")
    told = _run(store, "pipeline.verify", HOME, code=1)
    assert f"{SHARD}: record" in told
    assert "features.json: is missing" in told
    assert "2 files repaired" in _run(store, "pipeline.verify", HOME, "--repair")
    assert _here(store) == small
    store.remove(f"{HOME}/{SHARD}")
    _run(store, "pipeline.generate", *request)
    assert _here(store) == small

    other = [flag.replace("--seed=3", "--seed=4") for flag in request]
    assert "seed 3, not 4" in _run(store, "pipeline.generate", *other, code=2)
    _run(store, "pipeline.generate", *other, "--overwrite")
    assert _here(store).keys() == small.keys()
    assert _here(store) != small
    _run(store, "pipeline.generate", *request, "--overwrite")
    assert _here(store) == small
    assert {path: store.get(path) for path in store.paths() if not path.startswith(f"{HOME}/")} == beside


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    directory = tmp_path_factory.mktemp("disk") / "d"
    generate(MovingLine(0, 50, "path", 120_000, 500, 500, 3000), str(directory), direct_num_workers=2)
    return _on_disk(directory)


@pytest.mark.storm
@pytest.mark.parametrize("overwrite", [False, pytest.param(True, marks=pytest.mark.storm)])
def test_a_killed_run_goes_on_there(store: Store, large: dict[str, bytes], overwrite: bool) -> None:
    request = [f"--output_dir={HOME}", *LARGE, "--direct_num_workers=2"]
    work = HOME
    if overwrite:
        _run(store, "pipeline.generate", f"--output_dir={HOME}", *SMALL, "--direct_num_workers=1")
        request.append("--overwrite")
        work = f"{HOME}/.replacement"
    before = _here(store)
    with store.start("pipeline.generate", *request) as job:
        deadline = time.monotonic() + 120
        while job.poll() is None and len(store.paths(f"{work}/.generation/reports/")) < 3:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        job.send_signal(signal.SIGKILL)
        job.communicate(timeout=60)
    assert before.items() <= _here(store).items(), "the old data set stays until the new one is whole"
    assert f"{work}/manifest.json" not in store.paths()
    if not overwrite:
        assert "has no manifest.json" in _run(
            store, "pipeline.preview", "--output=no.png", f"--data_dir={HOME}", code=2
        )
        assert "manifest.json: is missing" in _run(store, "pipeline.verify", HOME, code=1)
    finished = [path.rpartition("/")[2] for path in store.paths(f"{work}/.generation/reports/")]
    kept = {name: _written(store, f"{work}/{name.removesuffix('.json')}") for name in finished}
    assert "fingerprint" in _run(store, "pipeline.generate", *request)
    assert _here(store) == large
    if not overwrite:
        for name, written in kept.items():
            assert _written(store, f"{work}/{name.removesuffix('.json')}") == written, "made again"
    assert "every byte is as it should be" in _run(store, "pipeline.verify", HOME)


def _written(store: Store, path: str) -> int:
    from tests.object_store.objects import file_of

    return file_of(store.directory, path).stat().st_mtime_ns


@pytest.mark.parametrize("moved", [20, 52, pytest.param(0, marks=pytest.mark.storm)])
def test_an_exchange_that_was_killed_is_finished_there(
    store: Store, small: dict[str, bytes], moved: int
) -> None:
    settings = MovingLine(3, 8, "path", 300, 40, 60)
    generate(settings, HOME, direct_num_workers=1)
    whole = {path.removeprefix(HOME): content for path, content in store.objects(HOME).items()}
    generate(MovingLine(5, 8, "frames", 40, 4, 6), HOME, direct_num_workers=1, overwrite=True)
    # As a process leaves it that dies after so many objects were copied, the manifest's last.
    store.remove(f"{HOME}/manifest.json")
    store.put(f"{HOME}/.replacement/.exchange", b"")
    names = sorted(whole, key=lambda name: (name == "/manifest.json", name))
    assert len(names) == 52
    for name in names:
        store.put(f"{HOME}/.replacement{name}", whole[name])
    for name in names[:moved]:
        store.put(f"{HOME}{name}", whole[name])
        if name != names[moved - 1]:  # Copied, and not yet deleted.
            store.remove(f"{HOME}/.replacement{name}")
    generate(settings, HOME, direct_num_workers=1, overwrite=True)
    assert _here(store) == small


def test_a_directory_of_that_name_is_told_from_no_directory(store: Store) -> None:
    assert "no such directory" in _run(store, "pipeline.verify", f"{HOME}/no", code=2)
    store.put(f"{HOME}/thesis.txt", b"mine")
    assert "holds something else (thesis.txt)" in _run(
        store, "pipeline.generate", f"--output_dir={HOME}", *SMALL, code=2
    )
    assert store.paths() == [f"{HOME}/thesis.txt"]


def test_names_that_beam_takes_for_patterns_are_refused(store: Store) -> None:
    for flag in ([], ["--dry_run"]):
        told = _run(store, "pipeline.generate", f"--output_dir={HOME}/[1]", *SMALL, *flag, code=2)
        assert "takes [, ], * and ? for patterns" in told
    assert store.paths() == []


def test_an_object_that_stands_for_the_folder_is_no_stranger(store: Store, small: dict[str, bytes]) -> None:
    store.put(f"{HOME}/", b"")
    generate(MovingLine(3, 8, "path", 300, 40, 60), HOME, direct_num_workers=1)
    assert _here(store) == {**small, "": b""}
