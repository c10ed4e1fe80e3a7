"""The documents' figures are those of the results that lie in the repository, and no others."""

import re
from pathlib import Path

import pytest
from PIL import Image

from benchmarks.publish import (
    CHART,
    FIGURE,
    SOURCE,
    comparison,
    documents,
    figures,
    published,
    source,
    with_figures,
)
from benchmarks.results_file import results, results_path
from benchmarks.tables import SECTIONS
from tests.conftest import ROOT, Program

DOCUMENTS = documents(ROOT)
# Numbers with units that nobody measured: constants of the code, definitions, choices of an example.
SET = (
    "2 % of the pixels",
    "2 % noise",
    "95 %",
    "99 %",
    "128 MiB",
    "512 MiB",
    "16 MiB of windows",
    "(32 MiB)",
    "(32 KiB)",
    "up to 4 GiB of memory",
    "10 seconds' wait",
    "8 bytes a sequence",
    "51 bytes a sequence",
)

_CODE = re.compile(r"^```.*?^```$|`[^`\n]*`", re.DOTALL | re.MULTILINE)
# A number with a unit that only measuring gives; those that are set and not measured are in SET.
_MEASURED = re.compile(
    r"\d[\d,.]*(?: to \d[\d,.]*)?[  ]?"
    r"(?:s|ms|µs|ns|seconds?|minutes?|hours?|days?|core-hours|[kMGT]i?B|bytes a \w+|%|times|x|k/s|M/s"
    r"|(?:sequences|paths|frames|steps|records)(?:/s| a second))(?![\w])"
)


def _measured_outside(text: str) -> list[str]:
    """Numbers that look measured and stand neither in a figure nor in code, with what is around them."""
    prose = _CODE.sub("", FIGURE.sub("", text))
    return [prose[max(0, found.start() - 30) : found.end() + 20] for found in _MEASURED.finditer(prose)]


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_every_figure_is_what_the_results_say(path: Path) -> None:
    for name, text in figures(path.read_text()):
        expected = published(name)
        assert text.strip("\n") == expected, f"{path.name}: {name}: run make figures"


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_no_figure_stands_outside(path: Path) -> None:
    found = [text for text in _measured_outside(path.read_text()) if not any(known in text for known in SET)]
    assert not found, "between which comments does it belong? see CONTRIBUTING.md"


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_a_figure_edited_by_hand_is_found(path: Path) -> None:
    text = path.read_text()
    for number, (name, content) in enumerate(figures(text)):
        assert re.search(r"\d", content), f"{name} has no number"
        edited = re.sub(r"\d", lambda digit: str((int(digit[0]) + 1) % 10), content, count=1)
        changed = [found for _, found in figures(text.replace(f"-->{content}<", f"-->{edited}<"))]
        assert changed[number].strip("\n") != published(name)


@pytest.mark.parametrize(
    "path", [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *DOCUMENTS[1:]], ids=lambda p: p.name
)
def test_files_that_are_named_are_there(path: Path) -> None:
    text = path.read_text()
    for named in re.findall(r"`((?:tests|pipeline|model|trainer|benchmarks|docs)/[\w./]+)`", text):
        assert (ROOT / named).exists() or "NAME" in named, named
    for linked in re.findall(r"\]\((?!http)([\w./-]+)[#)]", text):
        assert (path.parent / linked).exists(), linked


def test_a_number_outside_of_a_figure_is_found() -> None:
    for text in (
        "takes 12.5 s in all",
        "3 times as fast",
        "needs 801 MiB",
        "1,200 sequences a second",
        "9 %",
    ):
        assert _measured_outside(f"It {text}.")
        assert not _measured_outside(f"It <!-- figure x -->{text}<!-- end -->.")
        assert not _measured_outside(f"It `{text}`.")


def test_figures_are_written_where_they_stand() -> None:
    text = "a <!-- figure x -->1<!-- end --> b\n<!-- figure y -->2<!-- end -->\n"
    written = with_figures(text, {"x": "3", "y": "| 4 |\n| 5 |"}.__getitem__)
    assert written == "a <!-- figure x -->3<!-- end --> b\n<!-- figure y -->\n| 4 |\n| 5 |\n<!-- end -->\n"


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_results_have_a_command_which_the_document_names(path: Path) -> None:
    text = path.read_text()
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for kind, of in [name.split(" of ") for name, _ in figures(text)]:
        if kind == "breakdown" or of == "limits":
            of = "breakdown"
        elif kind not in ("table", "machine", "bound") or of in ("highlights", "sequences", *SECTIONS):
            of = "bench"
        used = {"costs": ["stages"], "sizing": ["stages", "many-shards"]}.get(of, [of])
        for name in used:
            command = results(name)["command"]
            assert command.removeprefix("make ").split()[0] in targets
            assert f"`{command}`" in text, f"{path.name}: say that {command} measures {of}"


def test_results_say_where_and_with_what_they_were_measured() -> None:
    for path in results_path("bench").parent.glob("*.json"):
        name = "bench" if path.name.startswith("20") else re.split("-(?:amd|intel)", path.name)[0]
        document = results(name)
        assert document["machine"]["cores"] > 0
        assert document["versions"]["numpy"]
        assert re.fullmatch(r"\d{4}-\d\d-\d\d", document["date"])


def test_the_chart_is_of_the_newest_comparison() -> None:
    with Image.open(CHART) as picture:
        assert picture.info[SOURCE] == source(comparison())


def test_every_row_has_rounds_and_every_missed_target_is_told() -> None:
    text = "".join(path.read_text() for path in DOCUMENTS)
    for row in comparison():
        assert row.rounds
        if row.target and not row.target.is_met(row.ratio.median):
            assert f"target of {row.key}" in text, f"say how far {row.key} is off and what was tried"


def test_sizing_by_default_is_what_the_document_shows(program: Program) -> None:
    shown = published("table of sizing").splitlines()
    assert program("benchmarks.sizing").stdout.splitlines()[: len(shown)] == shown
