"""Reading a manifest is total: whatever its bytes are, it is read as written or refused in one line."""

import json
import random
import shutil
from pathlib import Path

import pytest

from pipeline.command_line.errors import RequestError
from pipeline.dataset.manifest import Manifest
from pipeline.dataset.reader import Dataset
from pipeline.verification.dataset_check import verify
from pipeline.verify import main


def _reordered(document: object) -> object:
    if isinstance(document, dict):
        return {name: _reordered(document[name]) for name in sorted(document, reverse=True)}
    return [_reordered(item) for item in document] if isinstance(document, list) else document


def test_the_order_of_keys_in_a_manifest_means_nothing(tmp_path: Path, path_dataset_dir: Path) -> None:
    directory = Path(shutil.copytree(path_dataset_dir, tmp_path / "d"))
    path = directory / "manifest.json"
    document = json.loads(path.read_bytes())
    path.write_text(json.dumps(_reordered(document)))
    found = verify(str(directory))
    assert found.passed
    assert found.problems == []
    assert found.manifest is not None
    assert found.manifest.fingerprint == document["fingerprint"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"num_bytes": ', '"num_bytes": 1e4'),
        ('"num_sequences": ', '"num_sequences": true, "x": '),
        ('"left": ', '"left": 1e4'),
        ('"left": ', '"left": 9999999999999999999999'),
        ('"left": ', '"left": 0.5, "x": '),
        ('"start_rows": [', '"start_rows": [[],'),
        ('"start_rows": [', '"start_rows": 5, "x": ['),
        ('"steps": {', '"steps": null, "x": {'),
        ('"settings": {', '"settings": [], "x": {'),
        ('"seed": 3', '"seed": 3.0'),
        ('"seed": 3', '"seed": NaN'),
        ('"seed": 3', '"seed": null'),
        ('"image_size": 8', '"image_size": true'),
        ('"encoding": "path"', '"encoding": ["path"]'),
        ('"within": {', '"within": 1, "x": {'),
        ('"test_in_train": ', '"test_in_train": 1e400, "x": '),
        ('"environment": {', '"environment": [], "x": {'),
        ('"splits": {', '"splits": {"other": {},'),
        ('"file": "', '"file": 7, "x": "'),
        ('"format_version": 2', '"format_version": 2.5'),
        ('"format_version": 2', '"format_version": {}'),
        ('"format_version": 2', '"format_version": "\\ud800"'),
        ("{", "[" * 100_000),
    ],
)
def test_a_manifest_of_odd_values_is_one_line(
    tmp_path: Path, path_dataset_dir: Path, old: str, new: str, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = Path(shutil.copytree(path_dataset_dir, tmp_path / "d"))
    text = (directory / "manifest.json").read_text()
    assert old in text
    (directory / "manifest.json").write_text(text.replace(old, new, 1))
    assert main([str(directory)]) == 1
    told = capsys.readouterr().out
    assert "manifest.json: " in told
    with pytest.raises(RequestError, match=r"manifest.json (is damaged|does not agree|has format version)"):
        Dataset.open(str(directory))


def test_a_manifest_with_any_other_byte_is_refused_or_says_the_same(path_dataset_dir: Path) -> None:
    content = (path_dataset_dir / "manifest.json").read_bytes()
    # What is written after the environment's first line is of the run that wrote it, and bound by no digest.
    bound = content.index(b'"environment"')
    generator = random.Random(13)
    whole = Manifest.from_bytes(content, "manifest.json")
    for _ in range(400):
        place = generator.randrange(bound)
        value = generator.choice(b' 0179.eE+-"[]{},:\\ntfN\0\xff')
        changed = content[:place] + bytes([value]) + content[place + 1 :]
        try:
            read = Manifest.from_bytes(changed, "manifest.json")
        except RequestError:
            continue
        assert read.fingerprint == whole.fingerprint
        assert read.content_digest == whole.content_digest
