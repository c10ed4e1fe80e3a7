"""Wrong requests for clips: one line that says what is wrong and where, exit 2, nothing changed on disk."""

import sys
from pathlib import Path

import pytest

from pipeline.command_line.program import run
from tests.conftest import Program
from tests.pipeline.clips.clip_folders import class_folders, snapshot, write

THREE = "cat/1.mp4 cat/2.mp4 cat/3.mp4"
CSVS = {
    "missing.csv": "path,label\nok/cat/0.mp4,cat\nok/cat/9.mp4,cat\n",
    "two_labels.csv": "path,label\nok/cat/0.mp4,cat\nok/cat/0.mp4,dog\n",
    "nothing.csv": "path,label\n",
    "header.csv": "file,class\nok/cat/0.mp4,cat\n",
    "neither.csv": "path\nok/cat/0.mp4\n",
    "outside.csv": "path,label\n../outside.mp4,cat\n",
    "time.csv": "path,label,start\nok/cat/0.mp4,cat,0:01\n",
    "few.csv": "path,label\nok/cat/0.mp4,cat\nok/cat/1.mp4,cat\n",
    "one_group.csv": "path,label,group\n" + "".join(f"ok/cat/{n}.mp4,cat,g\n" for n in range(4)),
    "few_captions.csv": "path,caption\nok/cat/0.mp4,a cat\nok/cat/1.mp4,a cat\n",
    "split.csv": "path,label,split\nok/cat/0.mp4,cat,train\nok/dog/0.mp4,dog,test\n",
    "parts.csv": "path,label,start,end\n" + "".join(f"ok/cat/0.mp4,cat,{n},{n + 1}\n" for n in range(9)),
    # Every class is in three groups, but of 1, 2, 3 and 4 two would have to be in one split.
    "parted.csv": "path,label,group\n"
    + "".join(
        f"ok/{path}.mp4,{label},{group}\n"
        for path, label, group in [
            *(("cat/0", "cat", 1), ("cat/1", "cat", 2), ("cat/2", "cat", 3)),
            *(("dog/0", "dog", 1), ("dog/1", "dog", 2), ("dog/2", "dog", 4)),
            *(("cow/0", "cow", 1), ("cat/3", "cow", 3), ("dog/3", "cow", 4)),
        ]
    ),
}


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sources, good and wrong, in the folder S, and what stands where data sets should go."""
    tmp_path = tmp_path_factory.mktemp("places")
    source = tmp_path / "S"
    write(source / "ok", class_folders(["cat", "dog"]))
    write(source / "ok", {"cow/0.mp4": b"x"})
    write(source, {"flat/1.mp4": b"x", "few/cat/1.mp4": b"x", "few/cat/2.mp4": b"x", "notes/cat/1.txt": b"x"})
    write(source / "by_split", {f"train/{label}/1.mp4": b"x" for label in ("cat", "dog")})
    write(source / "by_split", {"test/cat/1.mp4": b"x"})
    write(source / "good", {f"{label}/{n}.mp4": b"x" for label in ("cat", "dog") for n in range(4)})
    write(source / "loop", dict.fromkeys(THREE.split(), b"x"))
    (source / "loop" / "cat" / "again").symlink_to("..")
    write(source / "leads_out", dict.fromkeys(THREE.split(), b"x"))
    (source / "leads_out" / "cat" / "4.mp4").symlink_to(tmp_path / "outside.mp4")
    write(source / "stray", {**dict.fromkeys(THREE.split(), b"x"), "4.mp4": b"x"})
    write(source / "no_split", {"train/cat/1.mp4": b"x", "train/2.mp4": b"x", "test/cat/1.mp4": b"x"})
    (source / "empty").mkdir()
    for name, text in CSVS.items():
        (source / name).write_text(text)
    (tmp_path / "outside.mp4").write_bytes(b"x")
    write(tmp_path, {"file": b"mine", "other/thesis.txt": b"mine"})
    write(tmp_path, {"unknown/clips-train.tfrecord-00000-of-00001": b"a shard"})
    write(tmp_path, {"damaged/manifest.json": b"{}"})
    return tmp_path


GOOD = "--source={S}/good"
CASES = [
    ("", "--source is missing: name a folder of classes of clips, or a .csv"),
    ("--source=", "--source is missing"),
    ("--source={S}/no", "/no: no such folder; name a folder of classes, or a .csv"),
    ("--source={S}/no.csv", "/no.csv: no such file; name a folder of classes, or a .csv"),
    ("--source={S}/flat/1.mp4", "1.mp4: is a file; name a folder of classes"),
    ("--source={S}/flat", "1.mp4 lies in no folder of a class; move it"),
    ("--source={S}/stray", "4.mp4 lies in no folder of a class"),
    ("--source={S}/no_split", "train/2.mp4 lies in no folder of a class"),
    ("--source={S}/empty", "holds no videos or images in folders of classes"),
    ("--source={S}/notes", "holds no videos or images in folders of classes"),
    ("--source={S}/few", "class cat has 2 clips for 3 splits; add clips, give other --splits"),
    ("--source={S}/few --splits=50,25,25", "class cat has 2 clips for 3 splits"),
    ("--source={S}/by_split", "class dog: no clip in split test; add clips"),
    ("--source={S}/loop", "the link cat/again leads back to"),
    ("--source={S}/leads_out", "the link cat/4.mp4 leads out of it, to"),
    ("--source=foo://bar", "foo://bar: cannot be used"),
    ("--source={S}/missing.csv", "missing.csv: line 3: ok/cat/9.mp4: No such file or directory"),
    ("--source={S}/two_labels.csv", "line 3: ok/cat/0.mp4 has two labels, cat and dog"),
    ("--source={S}/nothing.csv", "has no rows"),
    ("--source={S}/header.csv", "column 'file' is unknown; the columns are path"),
    ("--source={S}/neither.csv", "neither a label nor a caption; add a column"),
    ("--source={S}/outside.csv", "line 2: ../outside.mp4: lies outside of"),
    ("--source={S}/time.csv", "line 2: start 0:01; give seconds"),
    ("--source={S}/few.csv", "class cat has 2 clips for 3 splits"),
    ("--source={S}/few_captions.csv", "few_captions.csv: 2 clips for 3 splits"),
    ("--source={S}/one_group.csv", "class cat has 1 groups for 3 splits"),
    ("--source={S}/parts.csv", "class cat has 1 files for 3 splits; parts of one file stay in one split;"),
    ("--source={S}/parts.csv --splits=80,0,20", "class cat has 1 files for 2 splits"),
    ("--source={S}/parted.csv", ": no clip in split "),
    ("--source={S}/split.csv", "class dog: no clip in split train"),
    ("--source={S}/few.csv --root={tmp}/no", "--root {tmp}/no: no such folder"),
    (GOOD + " --root={S}", "--root is for a CSV: leave it out"),
    (GOOD + " --group=(", "--group (: is no regular expression"),
    (GOOD + " --group=person_(.)", "--group person_(.): is not found in cat/0.mp4"),
    (GOOD + " --group=^...", "class cat has 1 groups for 3 splits"),
    (GOOD + " --fps=0", "--fps 0: give a number above 0, up to 1000"),
    (GOOD + " --fps=-1", "--fps -1"),
    (GOOD + " --fps=nan", "--fps nan"),
    (GOOD + " --fps=1e9", "--fps 1e+09"),
    (GOOD + " --fps=fast", "--fps: invalid float value: 'fast'"),
    (GOOD + " --frame_size=0", "--frame_size 0: give a side in pixels, as in 64, or WIDTHxHEIGHT"),
    (GOOD + " --frame_size=64x", "--frame_size 64x"),
    (GOOD + " --frame_size=64,48", "--frame_size 64,48"),
    (GOOD + " --frame_size=20000", "--frame_size 20000"),
    (GOOD + " --frame_size=10000", "--frame_size 10000: give at most 67,108,864 pixels"),
    (GOOD + " --fit=stretch", "--fit: invalid choice: 'stretch'"),
    (GOOD + " --channels=2", "--channels 2: give 3 or 1"),
    (GOOD + " --image_encoding=webp", "--image_encoding: invalid choice: 'webp'"),
    (GOOD + " --jpeg_quality=101", "--jpeg_quality 101: give a number from 1 to 100"),
    (GOOD + " --max_frames=0", "--max_frames: '0' is not a whole number"),
    (GOOD + " --min_frames=some", "--min_frames: 'some' is not a whole number"),
    (GOOD + " --splits=80,20", "--splits 80,20: give shares of train, validation and test, as in 80,10,10"),
    (GOOD + " --splits=0,50,50", "--splits 0,50,50"),
    (GOOD + " --splits=80,10,x", "--splits 80,10,x"),
    (GOOD + " --on_bad_clip=ignore", "--on_bad_clip: invalid choice: 'ignore'"),
    (GOOD + " --max_bad=1", "--max_bad 1: give a share, as in 1%"),
    (GOOD + " --max_bad=101%", "--max_bad 101%: give a share"),
    (GOOD + " --records=arrayrecord", "--records: invalid choice: 'arrayrecord'"),
    (GOOD + " --clip_timeout=0", "--clip_timeout: '0' is not a whole number"),
    (GOOD + " --seed=-1", "--seed: '-1' is not a whole number"),
    (GOOD + " --sequences_per_shard=0", "--sequences_per_shard: '0' is not a whole number"),
    (GOOD + " --num_train=5", "unknown flag --num_train"),
    (GOOD + " --sorce={S}", "unknown flag --sorce={S}; did you mean --source?"),
    (GOOD + " --index_sha256=x", "unknown flag --index_sha256"),
    (GOOD + " --runner=Nope", "--runner Nope"),
    (GOOD + " --runner=DataflowRunner", "Beam: "),
    (GOOD + " --output_dir={tmp}/file", "is a file; name a directory"),
    (GOOD + " --output_dir={tmp}/file/below", "below"),
    (GOOD + " --output_dir={tmp}/other", "holds something else (thesis.txt)"),
    (GOOD + " --output_dir={tmp}/other --overwrite", "holds something else (thesis.txt)"),
    (GOOD + " --output_dir={tmp}/unknown", "holds shards of an unknown request"),
    (GOOD + " --output_dir={tmp}/damaged", "manifest.json is damaged"),
    (GOOD + " --output_dir={S}/good", "lies in the source; name a directory outside of it"),
    (GOOD + " --output_dir={S}/good/out", "lies in the source; name a directory outside of it"),
    (GOOD + " --output_dir={S}/good/out/further", "lies in the source; name a directory outside of it"),
    (GOOD + " --output_dir={S}", "holds something else"),
    (GOOD + " --dry_run --splits=80,20", "--splits 80,20"),
    ("--source={S}/few --dry_run", "class cat has 2 clips for 3 splits"),
    (GOOD + " --output_dir={S}/good/out --dry_run", "lies in the source"),
]


@pytest.mark.parametrize(("flags", "named"), CASES)
def test_a_wrong_request_changes_nothing(
    places: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    flags: str,
    named: str,
) -> None:
    from pipeline.generate import main

    before, known = snapshot(places), {"S": places / "S", "tmp": places}
    given = ["--dataset=clips", f"--output_dir={places}/new/D", *flags.format(**known).split()]
    monkeypatch.setattr(sys, "argv", ["generate", *given])
    codes: list[int] = []
    run("pipeline.generate", main, codes.append)
    printed = capfd.readouterr()
    assert codes == [2], printed.err
    (line,) = printed.err.splitlines()
    assert line.startswith("pipeline.generate: error: ")
    assert named.format(**known) in line
    assert printed.out == ""
    assert snapshot(places) == before


@pytest.mark.parametrize(
    ("module", "flags", "named"),
    [
        ("generate", "--dataset=clips --output_dir={tmp}/D --source={S}/two_labels.csv", "has two labels"),
        ("preview", "--dataset=clips --output={tmp}/x.png --source={S}/good", "--data_dir"),
    ],
)
def test_a_program_tells_it_in_one_line(
    places: Path, program: Program, module: str, flags: str, named: str
) -> None:
    before = snapshot(places)
    done = program(f"pipeline.{module}", *flags.format(S=places / "S", tmp=places).split())
    assert done.returncode == 2, done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"pipeline.{module}: error: ")
    assert named in line
    assert snapshot(places) == before
