"""What the project's own files say of each other: targets, packages, engines, checks."""

import ast
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.specifiers import SpecifierSet
from packaging.version import Version
from setuptools import find_packages

from tests.conftest import ROOT, is_in_part

MAKEFILE = (ROOT / "Makefile").read_text()
TARGETS = set(re.findall(r"^([a-z-]+):(?!=)", MAKEFILE, re.MULTILINE))
SCRIPTS = [".ci/run", ".github/workflows/ci.yml", ".pre-commit-config.yaml"]
PAGES = ["CHANGELOG.md", "CONTRIBUTING.md", "README.md", *(f"docs/{p.name}" for p in ROOT.glob("docs/*.md"))]
NAMED = re.compile(r"\bmake ([a-z-]+)(?![\w/-])")


def _code(page: str) -> list[str]:
    """What stands as code on a page."""
    text = (ROOT / page).read_text()
    blocks = re.findall(r"^```.*?^```", text, re.MULTILINE | re.DOTALL)
    for block in blocks:
        text = text.replace(block, "")
    return [*blocks, *re.findall(r"`([^`]+)`", text)]


@pytest.mark.parametrize("file", [*SCRIPTS, *PAGES])
def test_targets_that_are_named_exist(file: str) -> None:
    code = _code(file) if file in PAGES else [(ROOT / file).read_text()]
    named = {target for part in code for target in NAMED.findall(part)}
    assert named <= TARGETS
    assert named or file in PAGES


def test_every_target_is_phony_and_has_help() -> None:
    (phony,) = re.findall(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE)
    assert set(phony.split()) == TARGETS
    assert set(re.findall(r"^([a-z-]+):.*## \S", MAKEFILE, re.MULTILINE)) == TARGETS


def test_contributing_names_every_check() -> None:
    named = {target for part in _code("CONTRIBUTING.md") for target in NAMED.findall(part)}
    assert {target for target in TARGETS if target.startswith(("install-dev", "test", "lint"))} <= named


@pytest.mark.parametrize("page", ["CHANGELOG.md", "CONTRIBUTING.md", "docs/architecture.md"])
def test_files_that_are_named_exist(page: str) -> None:
    named = {part for part in _code(page) if re.fullmatch(r"\.?[a-z][\w.]*/[\w./-]*", part)}
    named -= {part for part in named if "NAME" in part}  # Those that somebody is to write.
    assert not [path for path in named if not (ROOT / path).exists()]


def _workflow() -> dict[Any, Any]:
    workflow: dict[Any, Any] = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())
    return workflow


def test_the_workflow_has_the_expected_shape() -> None:
    workflow = _workflow()
    # YAML 1.1 reads "on" as true.
    assert workflow.keys() == {"name", True, "permissions", "concurrency", "jobs"}
    assert workflow[True] == {"push": {"branches": ["main"]}, "pull_request": None}
    assert workflow["permissions"] == {"contents": "read"}
    assert workflow["concurrency"]["cancel-in-progress"] is True
    assert workflow["jobs"].keys() == {"lint", "test", "documents", "storms", "engines", "demo"}
    for job in workflow["jobs"].values():
        assert job["runs-on"] == "ubuntu-latest"
        assert 0 < job["timeout-minutes"] <= 90
        assert all(step.keys() <= {"uses", "with", "run"} and len(step) <= 2 for step in job["steps"])
        used = [step["uses"] for step in job["steps"] if "uses" in step]
        assert [action.partition("@")[0] for action in used[:2]] == [
            "actions/checkout",
            "actions/setup-python",
        ]
        assert all(re.fullmatch(r"actions/[a-z-]+@v\d+", action) for action in used)


def test_the_workflow_makes_what_ci_run_makes() -> None:
    runs = [step.get("run", "") for job in _workflow()["jobs"].values() for step in job["steps"]]
    commands = (ROOT / ".ci" / "run").read_text()
    expected = set(re.findall(r"^make ([a-z-]+)", commands, re.MULTILINE))
    assert {target for run in runs for target in re.findall(r"^make ([a-z-]+)", run)} == expected
    (kills,) = re.findall(r"^make (test-storms KILLS=\d+)\b", commands, re.MULTILINE)
    assert f"make {kills}" in runs
    demo = dict(re.findall(r"([A-Z_]+)=(\S+)", re.findall(r"^make demo (.*)$", commands, re.MULTILINE)[0]))
    assert {name: str(value) for name, value in _workflow()["jobs"]["demo"]["env"].items()} == demo


@pytest.mark.parametrize("count", [1, 2, 4])
def test_parts_are_all_tests_each_once(request: pytest.FixtureRequest, count: int) -> None:
    items = [item.nodeid for item in request.session.items]
    parts = [{item for item in items if is_in_part(item, k + 1, count)} for k in range(count)]
    assert sum(map(len, parts)) == len(set().union(*parts)) == len(items)
    functions = [{item.partition("[")[0] for item in part} for part in parts]
    assert sum(map(len, functions)) == len(set().union(*functions))


def test_the_workflow_tests_the_supported_pythons() -> None:
    (supported,) = re.findall(r'python_requires="(.*)"', (ROOT / "setup.py").read_text())
    first, last = map(int, re.fullmatch(r">=3\.(\d+),<3\.(\d+)", supported).groups())  # type: ignore[union-attr]
    matrix = _workflow()["jobs"]["test"]["strategy"]["matrix"]["python"]
    assert matrix == [f"3.{minor}" for minor in range(first, last)]


def test_setup_finds_every_folder_with_modules() -> None:
    """A folder without ``__init__.py`` would be missing from installations and on Beam's workers."""
    (include,) = re.findall(r"find_packages\(include=(\[.*?\])\)", (ROOT / "setup.py").read_text())
    folders = {
        ".".join(path.parent.relative_to(ROOT).parts)
        for room in ("pipeline", "model", "trainer")
        for path in (ROOT / room).rglob("*.py")
    }
    assert folders <= set(find_packages(str(ROOT), include=ast.literal_eval(include)))


def test_setup_packages_every_other_file() -> None:
    (data,) = re.findall(r"package_data=(\{.*?\})", (ROOT / "setup.py").read_text())
    packaged = {
        path
        for package, patterns in ast.literal_eval(data).items()
        for pattern in patterns
        for path in ROOT.joinpath(*package.split(".")).glob(pattern)
    }
    others = {
        path
        for room in ("pipeline", "model", "trainer")
        for path in (ROOT / room).rglob("*.*")
        if path.suffix not in (".py", ".pyc")
    }
    assert packaged == others != set()


def test_beam_is_the_version_that_was_tested() -> None:
    """`pipeline.workers.worker_environment` builds upon parts that Beam may change in any version."""
    (needed,) = re.findall(r'"apache-beam([^"]+)"', (ROOT / "setup.py").read_text())
    (tested,) = re.findall(r"^apache-beam==(\S+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    major, minor, _ = Version(tested).release
    assert tested in SpecifierSet(needed)
    assert f"{major}.{minor + 1}.0" not in SpecifierSet(needed)
    assert f"{major}.{minor - 1}.0" not in SpecifierSet(needed)


def test_every_engine_has_a_target() -> None:
    tests: list[Path] = sorted((ROOT / "tests" / "engines").glob("test_*.py"))
    engines = {
        name for path in tests for name in re.findall(r'mark\.engine\("([a-z-]+)"\)', path.read_text())
    }
    assert engines
    (together,) = re.findall(r"^test-engines:.*\n\t(.*)$", MAKEFILE, re.MULTILINE)
    for engine in engines:
        assert f"test-{engine}" in TARGETS
        assert f"--engine {engine} " in together
