"""Pictures and the page, the page in a real browser."""

import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from selenium import webdriver

from pipeline.command_line.errors import RequestError
from pipeline.moving_line.lines import sample_sequences
from tests.conftest import make_dataset
from tests.trainer.evaluation.captions import answers as captions
from tests.trainer.evaluation.n_classes.answers import document_of, evidence_of, made_up_answers
from trainer.evaluate import main
from trainer.evaluation.evidence import WorstSequences
from trainer.evaluation.n_classes.plots import CAPTIONS as CAPTIONS_OF_N_CLASSES
from trainer.evaluation.report import write_report

PICTURES = ["accuracy_by_frame", "confusion_matrix", "reliability", "robustness", "roc", "worst"]
PHONE, DESK = (390, 844), (1280, 900)


@pytest.fixture(scope="module")
def plots(path_dataset_dir: Path, run_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A judgement with everything on its page."""
    directory = tmp_path_factory.mktemp("judged")
    checks = directory / "checks.yaml"
    checks.write_text("accuracy: {min: 0}\nloss: {max: 0}\n")
    flags = [f"--data_dir={path_dataset_dir}", f"--model_dir={run_dir}", f"--checks={checks}"]
    more = [
        "--flips=0,0.02,0.1",
        f"--plots={directory / 'made' / 'plots'}",
        f"--output={directory / 'm.json'}",
    ]
    assert main([*flags, *more]) == 1
    return directory / "made" / "plots"


@pytest.fixture(scope="module")
def plots_of_100_classes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A judgement of many classes, some with long names, with everything on its page."""
    names = [f"class {number}" for number in range(98)] + ["long" * 30, "<i>&$_$ 播放" * 5]
    clips = [f"{'folder/' * 20}{number // 2}.mp4" for number in range(600)]
    evidence = evidence_of(made_up_answers(600, 100, skill=4, clips=clips), names)
    document = document_of(evidence, evidence)
    check = {"bound": "min", "limit": 0.5, "value": 0.25, "baseline": 0.75, "passed": False}
    document |= {"passed": False, "checks": [{"name": f"per_class.{names[98]}.recall", **check}]}
    directory = tmp_path_factory.mktemp("of_100_classes") / "plots"
    write_report(document, evidence, str(directory))
    return directory


@pytest.fixture(scope="module")
def plots_of_captions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A judgement of captions, some of them long, with everything on its page."""
    made_up = captions.made_up_captions(200, channels=3)
    made_up.predicted[7] = "long" * 60
    made_up.references[7] = ["播放 " * 30 + "end", "x" * 200, *["another"] * 8]
    groups = [f"group {number // 4}" for number in range(200)]
    clips = [f"{'folder/' * 20}{number}.mp4" for number in range(200)]
    evidence = captions.evidence_of(replace(made_up, groups=groups, clips=clips), ["a", "long" * 30, "c"])
    directory = tmp_path_factory.mktemp("of_captions") / "plots"
    write_report(captions.document_of(evidence), evidence, str(directory))
    return directory


@pytest.fixture(scope="module", params=[PHONE, DESK], ids=["phone", "desk"])
def browser(request: pytest.FixtureRequest) -> Iterator[webdriver.Chrome]:
    """Chromium without a window, of a phone's or a desk's size."""
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or driver is None:
        pytest.skip("chromium and chromedriver are not installed (Debian: chromium, chromium-driver)")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in ("headless=new", "no-sandbox", "disable-gpu", "disable-background-networking"):
        options.add_argument(f"--{flag}")
    width, height = request.param
    metrics = {"width": width, "height": height, "pixelRatio": 1.0}
    options.add_experimental_option("mobileEmulation", {"deviceMetrics": metrics})
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    opened = webdriver.Chrome(options, webdriver.ChromeService(driver))
    opened.set_page_load_timeout(60)
    yield opened
    opened.quit()


def test_the_page_is_readable(browser: webdriver.Chrome, plots: Path) -> None:
    browser.get(f"file://{plots / 'report.html'}")
    assert browser.get_log("browser") == []
    _assert_nothing_scrolls_sideways(browser)
    inner = browser.execute_script("return innerWidth")
    pictures = browser.execute_script(
        "return [...document.images].map(i => [i.complete, i.naturalWidth, i.getBoundingClientRect().width])"
    )
    assert len(pictures) == len(PICTURES)
    assert all(complete and natural >= 300 for complete, natural, _ in pictures)
    assert all(250 <= shown <= inner for _, _, shown in pictures)
    sizes = browser.execute_script(
        "return [...document.querySelectorAll('p, td, th, figcaption')]"
        ".map(e => parseFloat(getComputedStyle(e).fontSize))"
    )
    assert min(sizes) >= 13
    heading = browser.find_element("tag name", "h1").text
    assert re.fullmatch(r"failed \d+\.\d\d% of 150 held-out sequences", heading)
    failed = browser.find_elements("css selector", "tr.failed")
    assert [row.text.split()[:2] for row in failed] == [["failed", "loss"]]
    text = browser.find_element("tag name", "body").text
    assert "start_row: middle" in text
    assert text.count("sha256:") == 3


def _assert_nothing_scrolls_sideways(browser: webdriver.Chrome) -> None:
    """Neither the page nor a table in it, whatever is unfolded."""
    # The screen's width: a page that is too wide makes `innerWidth` larger.
    width, screen, tables = browser.execute_script(
        "document.querySelectorAll('details').forEach(each => each.open = true);"
        "return [document.documentElement.scrollWidth, screen.width,"
        " [...document.querySelectorAll('.wide')].map(each => each.scrollWidth - each.clientWidth)]"
    )
    assert width <= screen
    assert max(tables) == 0


def test_the_page_of_100_classes_is_readable(browser: webdriver.Chrome, plots_of_100_classes: Path) -> None:
    browser.get(f"file://{plots_of_100_classes / 'report.html'}")
    assert browser.get_log("browser") == []
    _assert_nothing_scrolls_sideways(browser)
    assert len(browser.find_elements("tag name", "img")) == len(CAPTIONS_OF_N_CLASSES)
    text = browser.find_element("tag name", "body").text
    for named in ("of whole clips", "groups drawn", "label in the top 10", "class 97", "<i>&$_$ 播放"):
        assert named in text
    assert "class: " not in text, "slices by class repeat the table of classes"


def test_the_page_of_captions_is_readable(browser: webdriver.Chrome, plots_of_captions: Path) -> None:
    browser.get(f"file://{plots_of_captions / 'report.html'}")
    assert browser.get_log("browser") == []
    _assert_nothing_scrolls_sideways(browser)
    pictures = browser.execute_script(
        "return [...document.querySelectorAll('.strip')].map(each => {"
        " const image = each.querySelector('img'), shown = image.getBoundingClientRect();"
        " return [image.complete && image.naturalWidth > 0, shown.height,"
        " shown.width / shown.height / (image.naturalWidth / image.naturalHeight),"
        " shown.right <= document.documentElement.clientWidth]})"
    )
    assert len(pictures) == 32
    for is_drawn, height, ratio, fits in pictures:
        assert is_drawn
        assert fits
        assert height >= 40
        assert ratio == pytest.approx(1, abs=0.05)
    text = browser.find_element("tag name", "body").text
    for named in ("shuffled", "groups drawn", "Best captions", "Worst captions", "word: moves", "播放"):
        assert named in text


def test_the_page_needs_nothing_else(plots: Path) -> None:
    page = (plots / "report.html").read_text()
    assert not re.findall(r"(?:src|href)=\"(?!data:)|url\(|@import|<script|https?:", page)
    assert sorted(path.stem for path in plots.glob("*.png")) == PICTURES


def test_pictures_of_another_judgement_go(tmp_path: Path) -> None:
    names = ["a", "b"]
    evidence = evidence_of(made_up_answers(30, 2), names)
    (tmp_path / "roc.png").write_bytes(b"of lines")
    (tmp_path / "confused_pairs.png").write_bytes(b"of many classes")
    (tmp_path / "mine.png").write_bytes(b"not of a report")
    write_report(document_of(evidence, None), evidence, str(tmp_path))
    expected = {*CAPTIONS_OF_N_CLASSES, "mine"} - {"confused_pairs"}
    assert {path.stem for path in tmp_path.glob("*.png")} == expected


@pytest.mark.parametrize("name", PICTURES)
def test_pictures_show_something(plots: Path, name: str) -> None:
    with Image.open(plots / f"{name}.png") as picture:
        assert min(picture.size) > 300
        assert picture.getcolors(20) is None  # There are more.


def test_one_sequence_of_one_class_has_a_page_too(tmp_path: Path, run_dir: Path) -> None:
    data = make_dataset(tmp_path / "d", num_test=1)
    flags = [f"--data_dir={data}", f"--model_dir={run_dir}", f"--output={tmp_path / 'm.json'}"]
    assert main([*flags, f"--plots={tmp_path / 'plots'}"]) == 0
    assert sorted(path.stem for path in (tmp_path / "plots").glob("*.png")) == [
        name for name in PICTURES if name not in ("robustness", "roc")
    ]
    assert "not defined" in (tmp_path / "plots" / "report.html").read_text()


def test_names_from_outside_are_text_on_the_page(tmp_path: Path, run_dir: Path) -> None:
    data = make_dataset(tmp_path / "<b>&d", num_test=3)
    flags = [f"--data_dir={data}", f"--model_dir={run_dir}", f"--output={tmp_path / 'm.json'}"]
    assert main([*flags, f"--plots={tmp_path / 'plots'}"]) == 0
    page = (tmp_path / "plots" / "report.html").read_text()
    assert "&lt;b&gt;&amp;d" in page
    assert "<b>" not in page


@pytest.mark.parametrize("place", ["{tmp}/file", "{tmp}/file/plots", "/proc/plots", ""])
def test_places_that_take_no_pictures(
    tmp_path: Path, path_dataset_dir: Path, run_dir: Path, place: str
) -> None:
    (tmp_path / "file").write_text("")
    flags = [f"--data_dir={path_dataset_dir}", f"--model_dir={run_dir}", f"--output={tmp_path / 'm.json'}"]
    with pytest.raises(RequestError, match="--plots"):
        main([*flags, f"--plots={place.format(tmp=tmp_path)}"])
    assert not (tmp_path / "m.json").exists()


def test_the_worst_are_kept_in_order_whatever_the_batches() -> None:
    paths, labels = sample_sequences(0, "test", 6, 0, 300)
    right = np.random.default_rng(1).integers(0, 20, 300) / 19  # With ties.
    expected = sorted(range(300), key=lambda number: (-abs(labels[number] - right[number]), number))[:16]
    for size in (1, 7, 300):
        nothing = np.empty(0, np.int64)
        worst = WorstSequences(nothing, nothing, np.empty(0), np.empty((0, 6), np.uint8))
        for start in range(0, 300, size):
            part = slice(start, start + size)
            numbers = np.arange(300)[part]
            worst = worst.merged_with(WorstSequences(numbers, labels[part], right[part], paths[part]))
        assert worst.numbers.tolist() == expected
        np.testing.assert_array_equal(worst.traces, paths[expected])
