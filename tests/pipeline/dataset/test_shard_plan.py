import pytest

from pipeline.command_line.errors import RequestError
from pipeline.moving_line.definition import MovingLine

GOOD = {"seed": 0, "image_size": 50, "encoding": "path", "num_train": 10, "num_validation": 5, "num_test": 1}


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"seed": -1}, "--seed -1"),
        ({"image_size": 1}, "--image_size 1"),
        ({"image_size": 257}, "--image_size 257"),
        ({"encoding": "jpeg"}, "--encoding jpeg"),
        ({"num_train": 0}, "--num_train 0"),
        ({"num_validation": -3}, "--num_validation -3"),
        ({"num_test": 0}, "--num_test 0"),
        ({"sequences_per_shard": 0}, "--sequences_per_shard 0"),
    ],
)
def test_a_wrong_setting_is_refused_by_its_flag(wrong: dict[str, object], named: str) -> None:
    with pytest.raises(RequestError, match=named):
        MovingLine(**{**GOOD, **wrong})  # type: ignore[arg-type]


@pytest.mark.parametrize("per_shard", [None, 1, 7, 1000])
@pytest.mark.parametrize("num_train", [1, 15, 16, 17, 1000])
def test_shards_cover_every_sequence_once_and_evenly(num_train: int, per_shard: int | None) -> None:
    settings = MovingLine(0, 50, "path", num_train, 5, 3, per_shard)
    shards = [shard for shard in settings.shards() if shard.split == "train"]
    covered = [i for s in shards for i in range(s.first_sequence, s.first_sequence + s.num_sequences)]
    assert covered == list(range(num_train))
    sizes = {shard.num_sequences for shard in shards}
    assert max(sizes) - min(sizes) <= 1
    assert max(sizes) <= (per_shard or num_train)


@pytest.mark.parametrize(("num_train", "shards"), [(1, 1), (9, 9), (16, 16), (200_000, 16)])
def test_automatic_sharding_serves_16_readers(num_train: int, shards: int) -> None:
    plan = MovingLine(0, 50, "path", num_train, 5, 3).shards()
    assert sum(shard.split == "train" for shard in plan) == shards


@pytest.mark.parametrize(("encoding", "num_train"), [("path", 100_000_000), ("frames", 20_000_000)])
def test_automatic_shards_have_64_to_256_mebibytes(encoding: str, num_train: int) -> None:
    from pipeline.moving_line.encodings import ENCODINGS
    from pipeline.moving_line.lines import sample_sequences

    sample = ENCODINGS[encoding].encode(*sample_sequences(0, "train", 50, 0, 50))
    plan = MovingLine(0, 50, encoding, num_train, 5, 3).shards()
    assert 64 * 2**20 <= plan[0].num_sequences * len(sample) / 50 <= 256 * 2**20


def test_shards_are_named_as_tfds_names_them() -> None:
    plan = MovingLine(0, 50, "path", 3, 2, 1).shards()
    assert plan[0].file_name == "moving_line-train.tfrecord-00000-of-00003"
    assert plan[-1].file_name == "moving_line-test.tfrecord-00000-of-00001"
