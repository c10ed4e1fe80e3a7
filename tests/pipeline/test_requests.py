"""Wrong requests to the programs of the pipeline: one line, exit 2, nothing changed on disk."""

import json
from pathlib import Path

import pytest

from pipeline.definition import KINDS
from pipeline.generate import main
from tests.conftest import Program

SETS = "--num_train=600 --num_validation=70 --num_test=150 --image_size=8"


def _snapshot(directory: Path) -> dict[str, bytes | None]:
    """Every file with its content, and every directory."""
    return {str(path): path.read_bytes() if path.is_file() else None for path in directory.rglob("*")}


@pytest.fixture
def places(tmp_path: Path, path_dataset_dir: Path) -> Path:
    """A directory of things that a request can stumble over."""
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
    for name, text in damaged.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "manifest.json").write_text(text)
    (tmp_path / "request" / ".generation").mkdir(parents=True)
    (tmp_path / "request" / ".generation" / "request.json").write_text('{"seed": 1}')
    (tmp_path / "unknown").mkdir()
    (tmp_path / "unknown" / "moving_line-train.tfrecord-00000-of-00001").write_text("a shard")
    return tmp_path


CASES = [
    ("generate", "", "--output_dir"),
    ("generate", "--output_dir={tmp}/d --num_train=0", "--num_train"),
    ("generate", "--output_dir={tmp}/d --num_test=-5", "--num_test"),
    ("generate", "--output_dir={tmp}/d --num_validation=many", "--num_validation"),
    ("generate", "--output_dir={tmp}/d --image_size=1", "--image_size 1"),
    ("generate", "--output_dir={tmp}/d --image_size=257", "--image_size 257"),
    ("generate", "--output_dir={tmp}/d --encoding=png", "--encoding png"),
    ("generate", "--output_dir={tmp}/d --captions", "--captions: records of path have none"),
    ("generate", "--output_dir={tmp}/d --seed=-1", "--seed"),
    ("generate", "--output_dir={tmp}/d --seed=1.5", "--seed"),
    ("generate", "--output_dir={tmp}/d --sequences_per_shard=0", "--sequences_per_shard"),
    ("generate", "--output_dir={tmp}/d --num_trian=5", "--num_trian"),
    ("generate", "--output_dir={tmp}/d --runner=Nope", "--runner Nope"),
    ("generate", "--output_dir={tmp}/d --runner=no.such.Runner", "--runner no.such.Runner"),
    ("generate", "--output_dir={tmp}/d --direct_num_workers=-1", "--direct_num_workers"),
    ("generate", "--output_dir={tmp}/d --direct_running_mode=fast", "--direct_running_mode"),
    ("generate", "--output_dir={tmp}/d --job_port=x", "--job_port"),
    ("generate", "--output_dir={tmp}/d --num_train 200 000", "unexpected argument '000'"),
    (
        "generate",
        "--output_dir={tmp}/d --runner=TestDataflowRunner --num_trian=3",
        "did you mean --num_train",
    ),
    ("generate", "--output_dir={tmp}/d --runner=DataflowRunner", "Beam"),
    ("generate", "--output_dir={tmp}/d --num_train=1000000000000000000000000000000", "--num_train"),
    (
        "generate",
        "--output_dir={tmp}/d --num_train=1000000000 --sequences_per_shard=1",
        "1000000000 shards",
    ),
    ("generate", "--output_dir=", "--output_dir"),
    ("generate", "--output_dir=foo://bar", "foo://bar"),
    ("generate", "--output_dir={tmp}/request", "request.json is damaged"),
    ("generate", "--output_dir={tmp}/nofingerprint", "does not agree with its own digests"),
    ("generate", "--output_dir={tmp}/file", "is a file"),
    ("generate", "--output_dir={tmp}/file/below", "below"),
    ("generate", "--output_dir={tmp}/other", "holds something else"),
    ("generate", "--output_dir={tmp}/other --overwrite", "holds something else"),
    ("generate", "--output_dir={tmp}/damaged", "manifest.json is damaged"),
    ("generate", "--output_dir={tmp}/edited", "does not agree with its own digests"),
    ("generate", "--output_dir={tmp}/newer", "format version 99"),
    ("generate", "--output_dir={data} --seed=9 " + SETS, "seed 3, not 9"),
    ("generate", "--output_dir={data} --seed=3 --encoding=frames " + SETS, "encoding path, not frames"),
    ("generate", "--output_dir={tmp}/unknown", "shards of an unknown request"),
    ("generate", "--output_dir={tmp}/new/d --num_train=100000000000", "bytes, "),
    ("generate", "--output_dir={tmp}/new/d --num_train=100000000000 --dry_run", "bytes, "),
    ("generate", "--output_dir={tmp}/new/d --dry_run --encoding=png", "--encoding png"),
    ("generate", "--output_dir={tmp}/new/d --dry_run --num_trian=3", "--num_trian"),
    ("generate", "--output_dir={data} --seed=9 --dry_run " + SETS, "seed 3, not 9"),
    ("generate", "--output_dir={tmp}/file/below --dry_run", "below"),
    ("verify", "", "data_dir"),
    ("verify", "{tmp}/no", "no such directory"),
    ("verify", "{tmp}/no --repair", "no such directory"),
    ("verify", "{tmp}/file", "file"),
    ("verify", "{tmp}/file --repair", "file"),
    ("verify", "{tmp}/other", "holds no data set"),
    ("verify", "{tmp}/other --repair", "holds no data set"),
    ("verify", "{tmp}/request", "holds no data set"),
    ("verify", "{data} {data}", "unrecognized arguments"),
    ("verify", "{data} --repare", "--repare"),
    ("verify", "{data} --json=yes", "--json"),
    ("verify", "foo://bar", "foo://bar"),
    ("preview", "", "--output"),
    ("preview", "--output=", "--output"),
    ("preview", "--output={tmp}/x.jpg", "x.jpg"),
    ("preview", "--output={tmp}/no/x.png", "no such directory"),
    ("preview", "--output={tmp}/.png", "name a file"),
    ("preview", "--output={tmp}/x.png --image_size=1", "--image_size 1"),
    ("preview", "--output={tmp}/x.png --image_size=300", "--image_size 300"),
    ("preview", "--output={tmp}/x.png --num_sequences=0", "--num_sequences"),
    ("preview", "--output={tmp}/x.png --num_sequences=65", "at most 64"),
    ("preview", "--output={tmp}/x.png --first=-1", "--first"),
    ("preview", "--output={tmp}/x.png --split=all", "--split"),
    ("preview", "--output={tmp}/x.png --size=5", "--size"),
    ("preview", "--output={tmp}/x.png --data_dir={tmp}/no", "no such directory"),
    ("preview", "--output={tmp}/x.png --data_dir={tmp}/other", "not a finished data set"),
    ("preview", "--output={tmp}/x.png --data_dir={tmp}/damaged", "manifest.json is damaged"),
    ("preview", "--output={tmp}/x.png --data_dir={data} --seed=1", "--seed"),
    ("preview", "--output={tmp}/x.png --data_dir={data} --first=599", "has 600"),
    ("preview", "--statistics={tmp}/x.png", "--data_dir"),
    ("preview", "--statistics={tmp}/x.gif --data_dir={data}", "--statistics"),
    ("preview", "--statistics={tmp}/no/x.png --data_dir={data}", "no such directory"),
    ("preview", "--statistics={tmp}/x.png --data_dir={tmp}/other", "not a finished data set"),
]


# Every case is a process: one in six runs with the default tests.
@pytest.mark.parametrize(
    ("name", "flags", "named"),
    [
        case if number % 6 == 0 else pytest.param(*case, marks=pytest.mark.storm)
        for number, case in enumerate(CASES)
    ],
)
def test_wrong_requests(
    places: Path, path_dataset_dir: Path, program: Program, name: str, flags: str, named: str
) -> None:
    before = _snapshot(places), _snapshot(path_dataset_dir)
    done = program(f"pipeline.{name}", *flags.format(tmp=places, data=path_dataset_dir).split())
    assert done.returncode == 2, done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert done.stderr.startswith(f"pipeline.{name}: error: ")
    assert named in done.stderr
    assert done.stdout == ""
    assert (_snapshot(places), _snapshot(path_dataset_dir)) == before


@pytest.mark.parametrize(
    "name",
    [
        "pipeline.generate",
        "pipeline.verify",
        "pipeline.preview",
        "trainer.task",
        "trainer.evaluate",
        "trainer.predict",
        "trainer.export",
    ],
)
def test_help_shows_an_example(program: Program, name: str) -> None:
    done = program(name, "--help")
    assert done.returncode == 0
    assert f"python -m {name}" in done.stdout
    assert "default" in done.stdout or name == "pipeline.verify"
    assert done.stderr == ""


@pytest.mark.parametrize("kind", KINDS)
def test_help_shows_the_settings_of_every_kind(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--dataset", kind, "--help"])
    assert ended.value.code == 0
    assert "--sequences_per_shard" in capsys.readouterr().out
