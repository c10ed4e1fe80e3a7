import io
import re
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.trainer.evaluation.captions.answers import document_of, evidence_of, made_up_captions, written
from trainer.evaluation.captions.plots import STRIPS, draw_pictures, strip_png
from trainer.evaluation.report import write_report


@pytest.mark.parametrize("channels", [1, 3])
def test_strips_show_the_frames(channels: int) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (3, 32, 40, channels), np.uint8)
    with Image.open(io.BytesIO(strip_png(frames))) as picture:
        pixels = np.array(picture)
    assert pixels.shape == (64, 3 * 80 + 2 * 2, 3)
    second = pixels[::2, 82:162:2]
    np.testing.assert_array_equal(second, np.broadcast_to(frames[1], second.shape))
    assert (pixels[:, 80:82] == 255).all()


def test_pictures_are_drawn_without_warnings() -> None:
    evidence = evidence_of(made_up_captions(40))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pictures = draw_pictures(document_of(evidence), evidence)
    assert list(pictures) == ["by_position", *STRIPS]
    with Image.open(io.BytesIO(pictures["by_position"])) as picture:
        assert picture.getcolors(20) is None  # There are more.


def test_pictures_of_another_judgement_go(tmp_path: Path) -> None:
    many, one = evidence_of(made_up_captions(40)), evidence_of(written([""], [[""]]))
    (tmp_path / "worst.png").write_bytes(b"of classes")
    write_report(document_of(many), many, str(tmp_path))
    assert {path.stem for path in tmp_path.glob("*.png")} == {"by_position", *STRIPS}
    write_report(document_of(one), one, str(tmp_path))
    assert {path.stem for path in tmp_path.glob("*.png")} == {"best_1", "worst_1"}


def test_captions_are_text_on_the_page(tmp_path: Path) -> None:
    texts = [f"reference {number}" for number in range(8)]
    evidence = evidence_of(written(["<b>&", ""], [["<i>"], texts], clips=["<u>", ""]))
    page = Path(write_report(document_of(evidence), evidence, str(tmp_path))).read_text()
    for named in (
        "&lt;b&gt;&amp;",
        "&lt;i&gt;",
        "&lt;u&gt;",
        "(no words)",
        "reference 4",
        "and 3 more references",
    ):
        assert named in page
    assert not re.search("<[biu]>|reference 5", page)
    assert not re.findall(r"(?:src|href)=\"(?!data:)|url\(|@import|<script|https?:", page)
