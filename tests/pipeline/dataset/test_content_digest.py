import hashlib
from pathlib import Path

import pytest

from pipeline.dataset.content_digest import pieces
from pipeline.dataset.reader import Dataset
from pipeline.generate import generate
from pipeline.moving_line.definition import MovingLine
from pipeline.moving_line.encodings import ENCODINGS
from pipeline.moving_line.lines import sample_sequences


@pytest.mark.parametrize(("first", "count"), [(0, 1), (0, 4096), (0, 4097), (5, 4091), (3, 20_000)])
def test_pieces_meet_at_multiples_of_their_size(first: int, count: int) -> None:
    cut = list(pieces(first, count, 4096))
    assert [i for start, n in cut for i in (start, start + n)][1:-1:2] == [start for start, _ in cut[1:]]
    assert (cut[0][0], cut[-1][0] + cut[-1][1]) == (first, first + count)
    assert all(start // 4096 == (start + n - 1) // 4096 for start, n in cut)
    assert all(start % 4096 == 0 for start, _ in cut[1:])


def _plain_split_digest(seed: int, split: str, image_size: int, count: int) -> str:
    """The definition, leaf by leaf and sequence by sequence."""
    leaves = hashlib.sha256()
    paths, labels = sample_sequences(seed, split, image_size, 0, count)
    for start in range(0, count, 4096):
        leaf = hashlib.sha256()
        for path, label in zip(paths[start : start + 4096], labels[start : start + 4096], strict=True):
            leaf.update(path.tobytes() + bytes([label]))
        leaves.update(leaf.digest())
    return leaves.hexdigest()


@pytest.mark.parametrize("encoding", list(ENCODINGS))
@pytest.mark.parametrize("per_shard", [None, 9000, 4096, 1000])
def test_the_content_digest_depends_on_the_sequences_only(
    tmp_path: Path, encoding: str, per_shard: int | None
) -> None:
    settings = MovingLine(3, 4, encoding, 9000, 5, 4096, per_shard)
    manifest, _ = generate(settings, str(tmp_path / "d"), direct_num_workers=1)
    for name, count in settings.num_sequences.items():
        assert manifest.splits[name].content_sha256 == _plain_split_digest(3, name, 4, count)
    other = MovingLine(3, 4, "path", 9000, 5, 4096)
    reference, _ = generate(other, str(tmp_path / "reference"), direct_num_workers=1)
    assert manifest.content_digest == reference.content_digest
    assert (manifest.fingerprint == reference.fingerprint) == (settings == other)


def test_other_sequences_have_another_content_digest(tmp_path: Path) -> None:
    digests = set()
    for i, (seed, size, count) in enumerate([(0, 4, 50), (1, 4, 50), (0, 5, 50), (0, 4, 51)]):
        settings = MovingLine(seed, size, "path", count, 5, 5)
        manifest, _ = generate(settings, str(tmp_path / str(i)), direct_num_workers=1)
        digests.add(Dataset.open(str(tmp_path / str(i))).manifest.content_digest)
        assert manifest.content_digest in digests
    assert len(digests) == 4


def test_manifests_of_both_encodings_count_the_same_statistics(tmp_path: Path) -> None:
    made = []
    for encoding in ENCODINGS:
        settings = MovingLine(3, 5, encoding, 500, 50, 50)
        made.append(generate(settings, str(tmp_path / encoding), direct_num_workers=1)[0])
    for name in made[0].splits:
        one, other = (manifest.splits[name].statistics for manifest in made)
        assert one == other
    assert made[0].duplicates == made[1].duplicates
