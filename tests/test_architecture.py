"""The sources import each other as docs/architecture.md says, and as its diagram shows."""

import ast
import graphlib
import re
import subprocess
import sys

import pytest

from pipeline.definition import KINDS
from tests.conftest import ROOT

DOCUMENT = (ROOT / "docs" / "architecture.md").read_text()
ROOMS = ("pipeline", "model", "trainer")
FORBIDDEN = {
    "pipeline": {"model", "trainer", "benchmarks", "tests"},
    "model": {"trainer", "benchmarks", "tests"},
    "trainer": {"benchmarks", "tests"},
}
PACKAGES = {
    "pipeline": {
        "PIL",
        "apache_beam",
        "av",
        "google",
        "google_crc32c",
        "grpc",
        "loky",
        "matplotlib",
        "numpy",
        "scipy",
        "tqdm",
    },
    "model": {"keras"},
}
# They run as bare files, on machines that have Beam but not this project.
BARE_FILES = ("pipeline.workers.worker_boot", "pipeline.workers.worker_pool")
PICTURES = {
    "pipeline.clips.statistics_picture",
    "pipeline.moving_line.statistics_picture",
    "pipeline.pictures.contact_sheet",
    "pipeline.pictures.example_counts_picture",
    "pipeline.pictures.sequences",
    "pipeline.pictures.text",
}
# What decodes media; of `pipeline`, only clips need it.
MEDIA_PACKAGES = {"PIL", "av"}
# The package of every built-in kind of data set: ``pipeline.moving_line``.
KIND_PACKAGES = sorted({target.partition(":")[0].rpartition(".")[0] for target in KINDS.values()})


def _sources(room: str) -> dict[str, ast.Module]:
    """Modules of a room and its packages, by name; a package stands for its ``__init__.py``."""
    found = {}
    for path in sorted((ROOT / room).rglob("*.py")):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        found[name] = ast.parse(path.read_text())
    return found


SOURCES = {name: tree for room in FORBIDDEN for name, tree in _sources(room).items()}


FOLDERS = {name for name in SOURCES if (ROOT / name.replace(".", "/")).is_dir()}


def _imports(name: str) -> set[str]:
    """What a module imports, anywhere in it; of this project, the very modules.

    A name that a package takes over from a module of its own counts as that module.
    """
    found = set()
    for node in ast.walk(SOURCES[name]):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{name}: a relative import"
            assert node.module is not None
            found |= {_defined_in(node.module, alias.name) for alias in node.names}
    return found


def _defined_in(module: str, name: str) -> str:
    if (below := f"{module}.{name}") in SOURCES:
        return below
    for node in SOURCES[module].body if module in SOURCES else ():
        if isinstance(node, ast.ImportFrom) and name in {alias.name for alias in node.names}:
            return str(node.module)
    return module


IMPORTS = {name: _imports(name) for name in SOURCES}


def _room(module: str) -> str:
    return module.partition(".")[0]


@pytest.mark.parametrize("room", FORBIDDEN)
def test_rooms_point_one_way(room: str) -> None:
    for name in filter(lambda each: _room(each) == room, SOURCES):
        assert not {_room(imported) for imported in IMPORTS[name]} & FORBIDDEN[room], name


@pytest.mark.parametrize("room", PACKAGES)
def test_rooms_import_the_packages_that_are_theirs(room: str) -> None:
    known = sys.stdlib_module_names | FORBIDDEN.keys() | PACKAGES[room]
    for name in filter(lambda each: _room(each) == room, SOURCES):
        found = {_room(imported) for imported in IMPORTS[name]}
        assert found <= known, name
        assert "matplotlib" not in found or name in PICTURES, name
        if room == "pipeline":
            assert not found & MEDIA_PACKAGES or name.startswith("pipeline.clips."), name


@pytest.mark.parametrize("package", KIND_PACKAGES)
def test_the_pipeline_imports_a_kind_of_data_set_only_by_its_name(package: str) -> None:
    def is_inside(module: str) -> bool:
        return f"{module}.".startswith(f"{package}.")

    assert any(map(is_inside, SOURCES))
    for name in (each for each in SOURCES if _room(each) == "pipeline" and not is_inside(each)):
        assert not set(filter(is_inside, IMPORTS[name])), name


def test_the_model_imports_the_definition_and_nothing_else_of_the_pipeline() -> None:
    found = {each for name in SOURCES if _room(name) == "model" for each in IMPORTS[name]}
    assert {each for each in found if _room(each) == "pipeline"} == {"pipeline.moving_line.lines"}


@pytest.mark.parametrize("name", BARE_FILES)
def test_bare_files_import_nothing_of_the_project(name: str) -> None:
    assert not {_room(imported) for imported in IMPORTS[name]} & FORBIDDEN.keys()


def test_the_trainer_knows_moving_lines_in_their_own_room() -> None:
    """`trainer.dataset_kinds` finds it by name. Documents of version 3 are of lines, and name no classes."""
    rooms = (
        "input",
        "training",
        "run",
        "evaluation",
        "tasks",
        "distributed",
        "command_line",
        "dataset_kinds",
    )
    found = {
        name
        for name in SOURCES
        if name.startswith(tuple(f"trainer.{room}" for room in rooms))
        and any("moving_line" in imported for imported in IMPORTS[name])
    }
    assert found == {"trainer.evaluation.document"}


def test_no_module_imports_one_that_imports_it() -> None:
    graphlib.TopologicalSorter({name: IMPORTS[name] & SOURCES.keys() for name in SOURCES}).prepare()


@pytest.mark.parametrize(
    ("modules", "absent"),
    [
        (
            [
                "pipeline.generation.beam_job",
                "pipeline.generation.shard_writer",
                "pipeline.workers.local_worker",
            ],
            ["tensorflow", "keras", "jax", "scipy", "matplotlib", "PIL", "tqdm", "model", "trainer"],
        ),
        ([name for name in SOURCES if _room(name) == "pipeline"], ["tensorflow", "keras", "jax"]),
    ],
)
def test_what_workers_import_reaches_no_tensorflow(modules: list[str], absent: list[str]) -> None:
    code = f"import sys, {', '.join(modules)}; print([name for name in {absent!r} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120, check=True
    )
    assert done.stdout == "[]\n"


def _diagram() -> tuple[dict[str, str], list[tuple[str, str, str]]]:
    """Nodes, their labels by name, and arrows; every line of the diagram is understood."""
    (drawing,) = re.findall(r"```mermaid\nflowchart LR\n(.*?)```", DOCUMENT, re.DOTALL)
    nodes, arrows, room = {}, [], None
    for line in filter(None, map(str.strip, drawing.splitlines())):
        if node := re.fullmatch(r'(\w+)\[(\(?)"(.+)"\)?\]', line):
            name, is_file, label = node.groups()
            assert name not in nodes
            assert bool(is_file) == (room is None), line
            assert is_file or (label in SOURCES and _room(label) == room), f"{label} is drawn in {room}"
            nodes[name] = label
        elif start := re.fullmatch(r'subgraph room_(\w+)\["\1: .+"\]', line):
            room = start[1]
        elif line == "end":
            room = None
        else:
            arrow = re.fullmatch(r"(\w+) (-\.->|-->) (\w+)", line)
            assert arrow, line
            arrows.append((arrow[1], arrow[2], arrow[3]))
    return nodes, arrows


def test_arrows_between_modules_are_imports() -> None:
    nodes, arrows = _diagram()
    assert len(set(arrows)) == len(arrows)
    assert {end for first, _, last in arrows for end in (first, last)} == nodes.keys()
    for first, arrow, last in arrows:
        source, target = nodes[first], nodes[last]
        if arrow == "-.->":
            assert target in IMPORTS.get(source, set()), f"{source} does not import {target}"
        else:
            assert (source in SOURCES) != (target in SOURCES), f"{source} to {target}: one of them is a file"


def test_every_module_has_one_line() -> None:
    listed = re.findall(r"^\| `((?:pipeline|model|trainer)\.[\w.*]+)` \|", DOCUMENT, re.MULTILINE)
    assert len(set(listed)) == len(listed)
    packages = {name.removesuffix(".*") for name in listed if name.endswith(".*")}
    modules = {name for name in SOURCES if _room(name) in ROOMS} - FOLDERS
    alone = {name for name in modules if not any(f"{name}.".startswith(f"{each}.") for each in packages)}
    assert packages <= FOLDERS
    assert {name for name in listed if not name.endswith(".*")} == alone


def test_modules_named_in_the_text_are_there() -> None:
    for name in re.findall(r"`((?:pipeline|model|trainer)\.\w+(?:\.\w+)*)`", DOCUMENT):
        assert name in SOURCES, name
