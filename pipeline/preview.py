"""Program: pictures of sequences, from a data set or straight from a seed."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.command_line.arguments import ArgumentParser, non_negative_int, path_text, positive_int
from pipeline.command_line.errors import RequestError
from pipeline.command_line.program import run
from pipeline.dataset.shard_plan import SPLITS
from pipeline.moving_line.lines import (
    CLASS_NAMES,
    MAX_IMAGE_SIZE,
    MIN_IMAGE_SIZE,
    Int64Array,
    Uint8Array,
    draw_frames,
    sample_sequences,
)
from pipeline.moving_line.pictures import (
    PICTURE_TYPES,
    check_num_sequences,
    check_picture_path,
    draw_sequences,
)

PROGRAM = "pipeline.preview"
_STILL_TYPES = tuple(kind for kind in PICTURE_TYPES if kind != ".gif")


def preview(
    output: str,
    *,
    data_dir: str | None = None,
    seed: int = 0,
    image_size: int = 50,
    split: str = "train",
    first: int = 0,
    num_sequences: int = 2,
    num_frames: int = 5,
) -> None:
    """Draw sequences ``first`` .. ``first + num_sequences - 1`` of a split into a picture.

    Args:
        output: the picture; a ``.gif`` moves, other types show ``num_frames`` frames side by side.
        data_dir: a data set to read from; None samples from ``seed`` and ``image_size`` instead.

    Raises:
        RequestError: if the request is wrong; nothing is written then.
    """
    check_picture_path(output)
    check_num_sequences(num_sequences)
    if data_dir is not None:
        from pipeline.dataset.reader import Dataset  # Needs Beam, which takes seconds to import.

        paths, labels = Dataset.open(data_dir).read(split, first, num_sequences)
    else:
        if not MIN_IMAGE_SIZE <= image_size <= MAX_IMAGE_SIZE:
            raise RequestError(
                f"--image_size {image_size}: give a size from {MIN_IMAGE_SIZE} to {MAX_IMAGE_SIZE}"
            )
        paths, labels = sample_sequences(seed, split, image_size, first, num_sequences)
    draw_sequences(draw_frames(paths, labels), _titles(paths, labels, split, first), output, num_frames)


def preview_statistics(output: str, data_dir: str) -> None:
    """Draw a data set's statistics, as its manifest has them, against the definition.

    Args:
        output: the picture; not a ``.gif``.

    Raises:
        RequestError: if the request is wrong; nothing is written then.
    """
    check_picture_path(output, _STILL_TYPES, "--statistics")
    from pipeline.dataset.reader import Dataset
    from pipeline.moving_line.statistics_picture import draw_statistics

    draw_statistics(Dataset.open(data_dir).manifest, output)


def _titles(paths: Uint8Array, labels: Int64Array, split: str, first: int) -> list[str]:
    return [
        f"{split} {first + i}: {CLASS_NAMES[label]}, from row {rows[0]}"
        for i, (rows, label) in enumerate(zip(paths, labels, strict=True))
    ]


def main(arguments: Sequence[str]) -> int:
    """Parse, draw, say where the picture is."""
    parser = ArgumentParser(
        PROGRAM,
        "Draw sequences, as frames side by side or moving as a GIF, and a data set's statistics.",
        f"python -m {PROGRAM} --output line.png --image_size 5 --num_frames 5",
    )
    add = parser.add_argument
    add("--output", type=path_text, help=f"picture of sequences: {', '.join(PICTURE_TYPES)}; .gif moves")
    add(
        "--statistics",
        type=path_text,
        help=f"picture of a data set's statistics against the definition: {', '.join(_STILL_TYPES)}",
    )
    add(
        "--data_dir",
        type=path_text,
        help="a data set to read; without it, sequences come straight from the seed",
    )
    add("--seed", type=non_negative_int, help="without --data_dir: decides the sequences (default: 0)")
    add("--image_size", type=positive_int, help="without --data_dir: S in pixels, 2..256 (default: 50)")
    add("--split", choices=SPLITS, default="train", help="which split's sequences")
    add("--first", type=non_negative_int, default=0, help="index of the first sequence")
    add("--num_sequences", type=positive_int, default=2, help="how many sequences")
    add("--num_frames", type=positive_int, default=5, help="frames a sequence, evenly spaced; not for .gif")
    flags = parser.parse_args(arguments)
    if flags.data_dir is not None and not (flags.seed is None and flags.image_size is None):
        raise RequestError("--data_dir brings its own seed and size; leave --seed and --image_size out")
    if flags.output is None and flags.statistics is None:
        parser.error("give --output, --statistics or both")
    if flags.statistics is not None:
        if flags.data_dir is None:
            parser.error("--statistics needs a data set: give --data_dir")
        preview_statistics(flags.statistics, flags.data_dir)
        print(flags.statistics)
    if flags.output is None:
        return 0
    preview(
        flags.output,
        data_dir=flags.data_dir,
        seed=flags.seed or 0,
        image_size=50 if flags.image_size is None else flags.image_size,
        split=flags.split,
        first=flags.first,
        num_sequences=flags.num_sequences,
        num_frames=flags.num_frames,
    )
    print(flags.output)
    return 0


if __name__ == "__main__":
    run(PROGRAM, main)
