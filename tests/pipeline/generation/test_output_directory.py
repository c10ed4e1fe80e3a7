"""Who may write into a directory: overwriting, exchanging, and two runs at once."""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from pipeline.clips.definition import Clips
from pipeline.command_line.errors import RequestError, WorkError
from pipeline.dataset.reader import Dataset
from pipeline.generate import dry_run_report, generate
from tests.conftest import ROOT, make_dataset
from tests.pipeline.clips.clip_folders import still, write
from tests.pipeline.test_generate import _files, _interrupt, _settings, _shards
from tests.processes import stopping_at_their_start, wait_for_path, wait_for_stopped


def test_overwrite_replaces_and_leaves_nothing_behind(tmp_path: Path) -> None:
    generate(_settings(), str(tmp_path / "d"), direct_num_workers=1)
    manifest, _ = generate(_settings(seed=4), str(tmp_path / "d"), direct_num_workers=1, overwrite=True)
    assert manifest.settings["seed"] == 4
    assert Dataset.open(str(tmp_path / "d")).manifest.fingerprint == manifest.fingerprint
    assert os.listdir(tmp_path) == ["d"]


def test_a_failed_overwrite_leaves_the_old_data_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    generate(_settings(), str(tmp_path / "d"), direct_num_workers=1)
    before = _files(tmp_path / "d")

    def failing(*_: object) -> None:
        raise OSError(28, "No space left on device", "shard")

    with monkeypatch.context() as patch:
        patch.setattr("pipeline.generation.beam_job.make_shard", failing)
        with pytest.raises(WorkError):
            generate(_settings(seed=4), str(tmp_path / "d"), direct_num_workers=1, overwrite=True)
    assert _files(tmp_path / "d") == before


def test_shards_of_an_unknown_request_can_be_overwritten(tmp_path: Path) -> None:
    directory = make_dataset(tmp_path / "d")
    before = _shards(directory)
    (directory / "manifest.json").unlink()
    with pytest.raises(RequestError, match="unknown request"):
        generate(_settings(), str(directory), direct_num_workers=1)
    generate(_settings(), str(directory), direct_num_workers=1, overwrite=True)
    assert _shards(directory) == before
    assert os.listdir(tmp_path) == ["d"]


def test_a_replacement_that_was_given_up_makes_room_for_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_dataset(tmp_path / "d")
    _interrupt(tmp_path / "d" / ".replacement", monkeypatch, after=5)
    manifest, _ = generate(_settings(seed=4), str(tmp_path / "d"), direct_num_workers=1, overwrite=True)
    assert manifest.settings["seed"] == 4
    assert os.listdir(tmp_path) == ["d"]


def test_two_runs_into_one_directory_one_works_the_other_says_so(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pipeline.generate", f"--output_dir={tmp_path / 'd'}"]
    command += ["--num_train=2000", "--direct_num_workers=2"]
    # The first is in the middle of its work, and stays there, while the other one comes.
    stopping, pipe = stopping_at_their_start(tmp_path, "pipeline.workers.local_worker"), subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, env=stopping, stdout=pipe, stderr=pipe, text=True) as first:
        try:
            workers = wait_for_stopped(first, "pipeline.workers.local_worker", 2)
            wait_for_path(first, tmp_path / "d" / ".generation")
            other = subprocess.run(
                command, cwd=ROOT, capture_output=True, text=True, timeout=240, check=False
            )
            for worker in workers:
                os.kill(worker, signal.SIGCONT)
            output, errors = first.communicate(timeout=240)
        finally:
            first.kill()
    assert other.returncode == 1
    assert "another process is working there" in other.stderr
    assert first.returncode == 0, errors
    assert "fingerprint" in output


def test_a_damaged_manifest_can_be_overwritten(tmp_path: Path) -> None:
    directory = make_dataset(tmp_path / "d")
    before = _shards(directory)
    (directory / "manifest.json").write_text("{")
    with pytest.raises(RequestError, match="or add --overwrite"):
        generate(_settings(), str(directory), direct_num_workers=1)
    generate(_settings(), str(directory), direct_num_workers=1, overwrite=True)
    assert _shards(directory) == before
    assert os.listdir(tmp_path) == ["d"]


def test_a_damaged_index_of_sources_can_be_overwritten(tmp_path: Path) -> None:
    source = write(
        tmp_path / "S", {f"{name}/{number}.png": still(number) for name in "ab" for number in (1, 2, 3)}
    )
    definition, directory = Clips(source=str(source), frame_size="16"), str(tmp_path / "d")
    generate(definition, directory, direct_num_workers=1)
    index = tmp_path / "d" / "sources.jsonl"
    before, content = _shards(tmp_path / "d"), index.read_bytes()
    index.write_bytes(content[:-1])
    with pytest.raises(RequestError, match=r"sources\.jsonl: is damaged.*; add --overwrite to make"):
        dry_run_report(definition, directory, 1)
    index.unlink()
    with pytest.raises(RequestError, match=r"sources\.jsonl: cannot be read.*; add --overwrite to make"):
        generate(definition, directory, direct_num_workers=1)
    assert generate(definition, directory, direct_num_workers=1, overwrite=True)[1]
    assert (_shards(tmp_path / "d"), index.read_bytes()) == (before, content)
    assert not generate(definition, directory, direct_num_workers=1, overwrite=True)[1]


def test_overwrite_spares_what_is_not_ours(tmp_path: Path) -> None:
    directory = make_dataset(tmp_path / "d")
    inside = directory / ".replacement"
    inside.mkdir()
    (inside / "thesis.txt").write_text("mine")
    with pytest.raises(RequestError, match="holds something else"):
        generate(_settings(seed=4), str(directory), direct_num_workers=1, overwrite=True)
    (inside / "thesis.txt").rename(directory / "thesis.txt")
    with pytest.raises(RequestError, match=r"holds something else \(thesis.txt\)"):
        generate(_settings(seed=4), str(directory), direct_num_workers=1, overwrite=True)
    assert (directory / "thesis.txt").read_text() == "mine"


def test_what_a_system_puts_there_neither_disturbs_nor_is_lost(tmp_path: Path) -> None:
    theirs = [tmp_path / "d" / name for name in (".DS_Store", "._manifest.json")]
    (tmp_path / "d").mkdir()
    for settings in (_settings(), _settings(), _settings(seed=4)):
        for path in theirs:
            path.write_text("theirs")
        generate(settings, str(tmp_path / "d"), direct_num_workers=1, overwrite=settings.seed == 4)
    assert {path.read_text() for path in theirs} == {"theirs"}
    assert Dataset.open(str(tmp_path / "d")).manifest.settings["seed"] == 4


@pytest.mark.skipif(os.getuid() != 0, reason="only root can run a program as somebody else")
def test_a_directory_that_cannot_be_written_is_refused_before_the_work() -> None:
    with tempfile.TemporaryDirectory() as parent:  # Pytest's own directories nobody else gets to.
        stills = {f"{name}/{number}.png": still(number) for name in "ab" for number in range(3)}
        source = write(Path(parent, "S"), stills)
        Path(parent, "d").mkdir()
        os.chmod(parent, 0o555)
        os.seteuid(65534)
        try:
            for definition in (_settings(), Clips(source=str(source), frame_size="16")):
                for name, named in (("d", "you may not write there"), ("new", "cannot be made")):
                    with pytest.raises(RequestError, match=f"--output_dir {parent}/{name}: {named}"):
                        generate(definition, f"{parent}/{name}", direct_num_workers=1)
        finally:
            os.seteuid(0)
        assert sorted(os.listdir(parent)) == ["S", "d"]
        assert not os.listdir(f"{parent}/d")


@pytest.mark.parametrize(
    ("moved", "again"),
    [
        (None, "the new request"),
        (None, "the old request"),
        (0, "the new request"),
        (30, "the old request"),
        (52, "the new request"),
        pytest.param(1, "the new request", marks=pytest.mark.storm),
        pytest.param(1, "the old request", marks=pytest.mark.storm),
    ],
)
def test_an_exchange_that_was_killed_is_finished_by_the_next_run(
    tmp_path: Path, moved: int | None, again: str
) -> None:
    directory, new = (
        make_dataset(tmp_path / "d", seed=3, num_train=900),
        make_dataset(tmp_path / "new", seed=4),
    )
    wanted = _files(new)
    new.rename(directory / ".replacement")
    if moved is not None:  # Else it was killed just before the exchange.
        (directory / ".replacement" / ".exchange").touch()
        (directory / "manifest.json").unlink()
        for name in sorted(wanted, key=lambda name: (name == "manifest.json", name))[:moved]:
            (directory / ".replacement" / name).replace(directory / name)
    old_request = {"definition": _settings(num_train=900), "overwrite": False}
    if moved is None and again == "the old request":
        assert not generate(output_dir=str(directory), direct_num_workers=1, **old_request)[1]  # type: ignore[arg-type]
        assert Dataset.open(str(directory)).manifest.settings["seed"] == 3
        return
    if again == "the old request":
        with pytest.raises(RequestError, match="seed 4, not 3"):
            generate(output_dir=str(directory), direct_num_workers=1, **old_request)  # type: ignore[arg-type]
    else:
        generate(_settings(seed=4), str(directory), direct_num_workers=1, overwrite=True)
    assert {path.name: path.read_bytes() for path in directory.iterdir()} == wanted
    assert os.listdir(tmp_path) == ["d"]


def test_a_half_made_data_set_is_not_given_up_before_it_is_replaced(
    tmp_path: Path,
    path_dataset_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    directory = tmp_path / "d"
    _interrupt(directory, monkeypatch, after=30)
    kept = {name: (directory / name).stat().st_ino for name in _shards(directory)}
    make_dataset(tmp_path / "other", seed=4).rename(directory / ".replacement")
    generate(_settings(), str(directory), direct_num_workers=1)
    assert f"{directory}/.replacement: an unfinished run with --overwrite left it" in capsys.readouterr().err
    assert _shards(directory) == _shards(path_dataset_dir)
    assert {name: (directory / name).stat().st_ino for name in kept} == kept
    generate(_settings(seed=4), str(directory), direct_num_workers=1, overwrite=True)
    assert Dataset.open(str(directory)).manifest.settings["seed"] == 4
    assert not (directory / ".replacement").exists()


@pytest.mark.parametrize("missing", ["dataset_info.json", "moving_line-train.tfrecord-00003-of-00016"])
def test_a_replacement_that_lost_something_is_made_whole_before_it_is_put_in_place(
    tmp_path: Path, missing: str
) -> None:
    directory, new = make_dataset(tmp_path / "d"), make_dataset(tmp_path / "new", seed=4)
    wanted = _files(new)
    (new / missing).unlink()
    new.rename(directory / ".replacement")
    generate(_settings(seed=4), str(directory), direct_num_workers=1, overwrite=True)
    assert _files(directory) == wanted


def test_what_an_empty_disk_holds_is_no_stranger(tmp_path: Path, path_dataset_dir: Path) -> None:
    (tmp_path / "d" / "lost+found").mkdir(parents=True)
    generate(_settings(), str(tmp_path / "d"), direct_num_workers=1)
    assert _shards(tmp_path / "d") == _shards(path_dataset_dir)


def test_overwrite_through_a_link_keeps_the_link(tmp_path: Path) -> None:
    directory = make_dataset(tmp_path / "d")
    (tmp_path / "link").symlink_to(directory)
    manifest, _ = generate(_settings(seed=4), str(tmp_path / "link"), direct_num_workers=1, overwrite=True)
    assert (tmp_path / "link").is_symlink()
    assert Dataset.open(str(directory)).manifest.fingerprint == manifest.fingerprint


def test_odd_names_are_taken_as_they_are(tmp_path: Path) -> None:
    directory = tmp_path / "b[1]*é"
    generate(_settings(), str(directory), direct_num_workers=1)
    assert not (directory / ".generation").exists()
    assert not generate(_settings(), str(directory), direct_num_workers=1)[1]


def test_a_leftover_state_folder_goes_with_the_next_call(tmp_path: Path) -> None:
    directory = make_dataset(tmp_path / "d")
    (directory / ".generation").mkdir()
    assert not generate(_settings(), str(directory), direct_num_workers=1)[1]
    assert not (directory / ".generation").exists()


def test_a_data_set_on_a_mount_point_can_be_overwritten(small_disk: Path, path_dataset_dir: Path) -> None:
    mount = small_disk
    make_dataset(mount, seed=4)
    generate(_settings(), str(mount), direct_num_workers=1, overwrite=True)
    assert _shards(mount) == _shards(path_dataset_dir)
    assert {path.name for path in mount.iterdir()} == {path.name for path in path_dataset_dir.iterdir()}
    assert [path.name for path in mount.parent.iterdir()] == ["disk"]
