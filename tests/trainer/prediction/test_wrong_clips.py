"""Requests for predictions of clips that are wrong get one line, and nothing is written."""

import json
from pathlib import Path

import av
import numpy as np
import pytest

from pipeline.command_line.errors import RequestError
from tests.pipeline.clips.clip_folders import clip, write
from tests.pipeline.clips.files import add_sound
from tests.trainer.prediction.conftest import change_config
from trainer.predict import main


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files, good ones and bad ones."""
    root = tmp_path_factory.mktemp("files")
    good = clip(5, 30)
    write(
        root,
        {
            **{f"good/{number}.mp4": good for number in range(6)},
            "cut.mp4": good[: len(good) // 2],
            "text.mp4": b"no video",
            "list.csv": b"path\n",
            "nothing/notes.txt": b"",
            "alone/x.tfrecord": b"",
        },
    )
    with av.open(str(root / "sound.mp4"), "w") as container:
        add_sound(container)
    np.save(root / "floats.npy", np.zeros((7, 24, 32, 3), np.float32))
    np.save(root / "flat.npy", np.zeros((24, 32, 3), np.uint8))
    np.save(root / "other.npy", np.zeros((7, 20, 20, 3), np.uint8))
    np.save(root / "empty.npy", np.zeros((0, 24, 32, 3), np.uint8))
    (root / "damaged.npz").write_bytes(b"PK")
    return root


OF_CLIPS = [
    ("", "only moving lines are drawn from a seed"),
    ("--seed=1", "only moving lines are drawn from a seed"),
    ("--data_dir={data} --seed=1", "no --seed"),
    ("--data_dir={data} --split=exam", "--split exam: give one of train, validation, test"),
    ("--data_dir={data} --first=2 --num_sequences=2", "has 3"),
    ("--data_dir={data} --num_sequences=65 --output={tmp}/p.png", "a picture shows at most 64"),
    ("--data_dir={data} --output={tmp}/a.csv", "a picture's name ends in"),
    ("--data_dir={data} --top_k=2", "--top_k is of --input"),
    ("--data_dir={data} --stride=2", "--stride is of --input"),
    ("--data_dir={data} --on_bad_clip=skip", "--on_bad_clip is of --input"),
    ("--data_dir={data} --batch_size=2", "--batch_size is of --input"),
    ("--data_dir={lines}", "trained on another kind of data set|trained on frames of shape"),
    ("--data_dir={files}", "not a finished data set"),
    ("--data_dir={data} --input {files}/good", "leave --data_dir out"),
    ("--seed=0 --input {files}/good", "leave --seed out"),
    ("--input {files}/none.mp4", "none.mp4: no such file"),
    ("--input {files}/none/*.mp4", "nothing matches"),
    ("--input {files}/nothing", "holds no videos or images"),
    ("--input {files}/list.csv", "name videos, images"),
    ("--input {files}/good {files}/sound.mp4", "sound.mp4: has no video stream"),
    ("--input {files}/cut.mp4", "cut.mp4: .*--on_bad_clip skip"),
    ("--input {files}/text.mp4", "text.mp4: cannot be opened"),
    ("--input {files}/floats.npy", "floats.npy: holds float32, expected uint8"),
    ("--input {files}/flat.npy", r"flat.npy: has shape \(24, 32, 3\), expected \(n, T, H, W, C\)"),
    ("--input {files}/empty.npy", "empty.npy: holds no frames"),
    ("--input {files}/damaged.npz", "damaged.npz: "),
    ("--input {files}/alone/x.tfrecord", "there is no manifest.json beside it"),
    ("--input {line_shard}", "trained on another kind of data set|trained on frames of shape"),
    ("--input {files}/good --top_k=0", "--top_k"),
    ("--input {files}/good --top_k=4", "--top_k 4: the model has only 3 classes"),
    ("--input {files}/good --stride=0", "--stride"),
    ("--input {files}/good --stride=-1", "--stride"),
    ("--input {files}/good --clip_timeout=0", "--clip_timeout"),
    ("--input {files}/good --on_bad_clip=trim", "--on_bad_clip"),
    ("--input {files}/good --output={tmp}/a.bmp", "ends in .jsonl or .csv"),
    ("--input {files}/good --output={tmp}/no/a.csv", "name a file in a directory that is there"),
    ("--input {files}/good --output={tmp}/no/a.png", "no such directory"),
    ("--input {files}/good --output={tmp}/p.png", "a picture shows at most 5 clips"),
    ("--input {files}/good --output={tmp}/p.png --top_k=2", "--top_k: is of answers"),
    ("--input {files}/good --output={tmp}/p.gif --stride=2", "--stride: is of answers"),
]


def _refused(flags: list[str], tmp_path: Path, named: str) -> None:
    with pytest.raises(RequestError, match=named) as caught:
        main(flags)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("flags", "named"), OF_CLIPS)
def test_wrong_requests_of_clips(
    tmp_path: Path,
    clip_run: Path,
    clip_data: Path,
    path_dataset_dir: Path,
    files: Path,
    flags: str,
    named: str,
) -> None:
    places = {
        "tmp": tmp_path,
        "data": clip_data,
        "lines": path_dataset_dir,
        "files": files,
        "line_shard": next(path_dataset_dir.glob("*.tfrecord*")),
    }
    _refused([f"--model_dir={clip_run}", *flags.format(**places).split()], tmp_path, named)


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        ("--input {files}/good", "good/0.mp4: the model was trained on gestures, which is not made of files"),
        ("--input {files}/other.npy", r"other.npy: frames of shape \(20, 20, 3\)"),
        ("--data_dir={data} --first=3", "has 3"),
    ],
)
def test_wrong_requests_of_a_kind_of_ones_own(
    tmp_path: Path, gesture_run: Path, clip_data: Path, files: Path, flags: str, named: str
) -> None:
    given = flags.format(files=files, data=clip_data).split()
    _refused([f"--model_dir={gesture_run}", *given], tmp_path, named)


@pytest.mark.parametrize("flag", ["--top_k=2", "--stride=2", "--on_bad_clip=skip", "--clip_timeout=9"])
def test_flags_of_clips_are_refused_for_lines(tmp_path: Path, run_dir: Path, files: Path, flag: str) -> None:
    flags = [f"--model_dir={run_dir}", flag, "--input", str(files / "good" / "0.mp4")]
    _refused(flags, tmp_path, f"{flag.partition('=')[0]}: is of clips")


def test_other_classes_and_sampling(tmp_path: Path, clip_run: Path, clip_data: Path, files: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    config = run / "config.json"
    config.write_bytes((clip_run / "config.json").read_bytes())
    change_config(run, dataset={"class_names": ["a", "b", "c"]})
    with pytest.raises(RequestError, match="classes a, b, c, the data set has clap, walk, wave"):
        main([f"--model_dir={run}", f"--data_dir={clip_data}"])
    change_config(run, settings={"sampling": "segments"})
    with pytest.raises(RequestError, match=r"--stride 2: .*--sampling segments"):
        main([f"--model_dir={run}", "--stride=2", "--input", str(files / "good")])
    config.write_text(json.dumps({"dataset": 0}))
    with pytest.raises(RequestError, match="is damaged"):
        main([f"--model_dir={run}", "--input", str(files / "good")])
