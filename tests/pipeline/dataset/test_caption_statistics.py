"""Statistics of captions, of clips and of other kinds, beside plain counts."""

import io
from collections.abc import Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pipeline.clips.definition import Clips
from pipeline.command_line.errors import WorkError
from pipeline.dataset.features import ClassLabel, Feature, Text
from pipeline.definition import Definition
from pipeline.generate import generate
from pipeline.preview import main
from tests.conftest import make_dataset
from tests.pipeline.clips.clip_folders import clip, write


@dataclass(frozen=True)
class Sayings(Definition):
    """Texts; the validation split has no words of train but "a"."""

    name = "sayings"

    num_train: int = 4
    num_validation: int = 3

    @property
    def features(self) -> Mapping[str, Feature]:
        return {"label": ClassLabel(("x",)), "caption": Text()}

    def example(self, split: str, index: int) -> Mapping[str, Any]:
        return {"label": 0, "caption": f"a {split} {' '.join('long' * index)}".strip()}


def _statistics(directory: Path, tmp_path: Path) -> list[str]:
    printed = io.StringIO()
    with redirect_stdout(printed):
        assert main(["--statistics", str(tmp_path / "a.png"), "--data_dir", str(directory)]) == 0
    assert (tmp_path / "a.png").stat().st_size > 1000
    *lines, path = printed.getvalue().splitlines()
    assert path == str(tmp_path / "a.png")
    return lines


def test_of_clips_whose_segments_count_once(tmp_path: Path) -> None:
    write(tmp_path / "S", {f"{number}.mp4": clip(number) for number in range(5)})
    rows = [
        *("0.mp4,train,A cat sits.", "0.mp4,train,a cat", "1.mp4,train,the dog runs far away"),
        *("2.mp4,train,a dog", "3.mp4,test,a dog flies", "4.mp4,val,the cat"),
    ]
    (tmp_path / "S" / "c.csv").write_text("\n".join(["path,split,caption", *rows]))
    definition = Clips(source=str(tmp_path / "S" / "c.csv"), frame_size="16", max_frames=2)
    generate(definition, str(tmp_path / "D"), direct_num_workers=1)
    assert _statistics(tmp_path / "D", tmp_path) == [
        "  vocabulary 8 words in train",
        "  train      1 to 2 (median 1) captions an example, 2 to 5 (median 2) words a caption",
        "  validation 1 to 1 (median 1) captions an example, 2 to 2 (median 2) words a caption,"
        " 0.00% of the words not in train",
        "  test       1 to 1 (median 1) captions an example, 3 to 3 (median 3) words a caption,"
        " 33.33% of the words not in train",
    ]
    assert main(["--statistics", str(tmp_path / "a.svg"), "--data_dir", str(tmp_path / "D")]) == 0
    assert "<!-- words of a caption -->" in (tmp_path / "a.svg").read_text()
    shard = next((tmp_path / "D").glob("clips-test.tfrecord-*"))
    shard.write_bytes(shard.read_bytes()[:-1])
    (tmp_path / "a.png").unlink()
    with pytest.raises(WorkError, match=shard.name):
        _statistics(tmp_path / "D", tmp_path)
    assert not (tmp_path / "a.png").exists()


def test_of_a_kind_with_one_text_an_example(tmp_path: Path) -> None:
    generate(Sayings(), str(tmp_path / "D"), direct_num_workers=1)
    assert _statistics(tmp_path / "D", tmp_path) == [
        "  vocabulary 6 words in train",
        "  train      1 to 1 (median 1) captions an example, 2 to 14 (median 6) words a caption",
        "  validation 1 to 1 (median 1) captions an example, 2 to 10 (median 6) words a caption,"
        " 16.67% of the words not in train",
    ]


def test_of_data_without_captions_nothing_is_printed(tmp_path: Path) -> None:
    assert _statistics(make_dataset(tmp_path / "D"), tmp_path) == []
