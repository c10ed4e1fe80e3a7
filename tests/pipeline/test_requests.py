"""Wrong requests to the generator: one line on stderr, exit 2, nothing changed on disk."""

import json
from pathlib import Path

import pytest

from tests.conftest import Program

SETS = "--num_train=600 --num_validation=70 --num_test=150 --image_size=8"


def _snapshot(directory: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        ("", "--output_dir"),
        ("--output_dir={tmp}/d --num_train=0", "--num_train"),
        ("--output_dir={tmp}/d --num_test=-5", "--num_test"),
        ("--output_dir={tmp}/d --num_validation=many", "--num_validation"),
        ("--output_dir={tmp}/d --image_size=1", "--image_size 1"),
        ("--output_dir={tmp}/d --image_size=257", "--image_size 257"),
        ("--output_dir={tmp}/d --encoding=png", "--encoding png"),
        ("--output_dir={tmp}/d --seed=-1", "--seed"),
        ("--output_dir={tmp}/d --seed=1.5", "--seed"),
        ("--output_dir={tmp}/d --sequences_per_shard=0", "--sequences_per_shard"),
        ("--output_dir={tmp}/d --num_trian=5", "--num_trian"),
        ("--output_dir={tmp}/d --runner=Nope", "--runner Nope"),
        ("--output_dir={tmp}/d --runner=no.such.Runner", "--runner no.such.Runner"),
        ("--output_dir={tmp}/d --direct_num_workers=-1", "--direct_num_workers"),
        ("--output_dir={tmp}/d --direct_running_mode=fast", "--direct_running_mode"),
        ("--output_dir={tmp}/d --job_port=x", "--job_port"),
        ("--output_dir={tmp}/d --num_train 200 000", "unexpected argument '000'"),
        ("--output_dir={tmp}/d --runner=TestDataflowRunner --num_trian=3", "did you mean --num_train"),
        ("--output_dir={tmp}/d --runner=DataflowRunner", "Beam"),
        ("--output_dir={tmp}/d --num_train=1000000000000000000000000000000", "--num_train"),
        ("--output_dir={tmp}/d --num_train=1000000000 --sequences_per_shard=1", "1000000000 shards"),
        ("--output_dir=", "--output_dir"),
        ("--output_dir=foo://bar", "foo://bar"),
        ("--output_dir={tmp}/request", "request.json is damaged"),
        ("--output_dir={tmp}/nofingerprint", "does not agree with its own digests"),
        ("--output_dir={tmp}/file", "is a file"),
        ("--output_dir={tmp}/file/below", "below"),
        ("--output_dir={tmp}/other", "holds something else"),
        ("--output_dir={tmp}/other --overwrite", "holds something else"),
        ("--output_dir={tmp}/damaged", "manifest.json is damaged"),
        ("--output_dir={tmp}/edited", "does not agree with its own digests"),
        ("--output_dir={tmp}/newer", "format version 99"),
        ("--output_dir={data} --seed=9 " + SETS, "seed 3, not 9"),
        ("--output_dir={data} --seed=3 --encoding=frames " + SETS, "encoding path, not frames"),
    ],
)
def test_wrong_requests(
    tmp_path: Path, path_dataset_dir: Path, program: Program, flags: str, named: str
) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").write_text("mine")
    manifest = json.loads((path_dataset_dir / "manifest.json").read_text())
    damaged = {
        "damaged": "{}",
        "edited": json.dumps({**manifest, "settings": {**manifest["settings"], "seed": 7}}),
        "newer": json.dumps({**manifest, "format_version": 99}),
        "nofingerprint": json.dumps({k: v for k, v in manifest.items() if k != "fingerprint"}),
    }
    (tmp_path / "request" / ".generation").mkdir(parents=True)
    (tmp_path / "request" / ".generation" / "request.json").write_text('{"seed": 1}')
    for name, text in damaged.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "manifest.json").write_text(text)
    before = _snapshot(tmp_path), _snapshot(path_dataset_dir)
    done = program("pipeline.generate", *flags.format(tmp=tmp_path, data=path_dataset_dir).split())
    assert done.returncode == 2, done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert named in done.stderr
    assert (_snapshot(tmp_path), _snapshot(path_dataset_dir)) == before


@pytest.mark.parametrize(
    "name",
    ["pipeline.generate", "pipeline.preview", "trainer.task", "trainer.evaluate", "trainer.predict"],
)
def test_help_shows_an_example(program: Program, name: str) -> None:
    done = program(name, "--help")
    assert done.returncode == 0
    assert f"python -m {name}" in done.stdout
    assert "default:" in done.stdout
    assert done.stderr == ""
