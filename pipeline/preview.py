"""Program: draw sequences of a data set or of given settings, and the statistics of a data set."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from itertools import islice

from pipeline.command_line.arguments import ArgumentParser, non_negative_int, path_text, positive_int
from pipeline.command_line.errors import RequestError
from pipeline.command_line.program import run
from pipeline.command_line.setting_flags import add_dataset_flag, add_setting_flags, kind_of, settings_given
from pipeline.dataset.reader import Dataset
from pipeline.definition import Definition
from pipeline.pictures.files import PICTURE_TYPES, check_picture_path
from pipeline.pictures.sequences import check_num_sequences, draw_sequences
from pipeline.storage.tfrecord import read_records

PROGRAM = "pipeline.preview"
_STILL_TYPES = tuple(kind for kind in PICTURE_TYPES if kind != ".gif")


def preview(
    output: str,
    source: Definition | str,
    *,
    split: str = "train",
    first: int = 0,
    num_sequences: int = 2,
    num_frames: int = 5,
) -> None:
    """Draw sequences ``first`` .. ``first + num_sequences - 1`` of a split into a picture.

    Args:
        output: path of the picture; a ``.gif`` is animated, other types show frames side by side.
        source: a definition, to make the sequences, or the directory of a data set, to read them.
        split: name of the split.
        first: number of the first sequence in the split, from 0.
        num_sequences: number of sequences.
        num_frames: number of frames shown of each sequence, evenly spaced; not used for a ``.gif``.

    Raises:
        RequestError: if the request is wrong; nothing is written then.
        WorkError: if a shard is damaged or missing.
    """
    check_picture_path(output)
    check_num_sequences(num_sequences)
    if isinstance(source, Definition):
        definition = source
        if not definition.num_sequences:
            raise RequestError(f"{definition.name}: is made of sources; give --data_dir of a data set of it")
        if split not in definition.num_sequences:
            raise RequestError(f"--split {split}: give one of {', '.join(definition.num_sequences)}")
        blocks = definition.blocks(split, first, num_sequences)
        payloads = list(
            islice(read_records(BytesIO(b"".join(block.records() for block in blocks))), num_sequences)
        )
    else:
        dataset = Dataset.open(source)
        definition = dataset.manifest.definition
        payloads = list(dataset.read(split, first, num_sequences))
    examples = [definition.decode(payload) for payload in payloads]
    titles = [
        f"{split} {first + place}: {definition.caption(example)}" for place, example in enumerate(examples)
    ]
    videos = [definition.frames(example) for example in examples]
    draw_sequences(videos, titles, output, num_frames, definition.palette)


def preview_statistics(output: str, data_dir: str) -> None:
    """Draw the statistics in a data set's manifest.

    Args:
        output: path of the picture; not a ``.gif``.
        data_dir: directory of the data set.

    Raises:
        RequestError: if the request is wrong; nothing is written then.
    """
    check_picture_path(output, _STILL_TYPES, "--statistics")
    manifest = Dataset.open(data_dir).manifest
    splits = {name: manifest.statistics(name) for name in manifest.splits}
    manifest.definition.draw_statistics(splits, output)


def main(arguments: Sequence[str]) -> int:
    """Parse the arguments, draw, print the paths of the pictures; returns the exit code."""
    parser = ArgumentParser(
        PROGRAM,
        "Draw sequences, as frames side by side or moving as a GIF, and a data set's statistics.",
        f"python -m {PROGRAM} --output line.png --image_size 5 --num_frames 5",
    )
    add = parser.add_argument
    add("--output", type=path_text, help=f"picture of sequences: {', '.join(PICTURE_TYPES)}; .gif moves")
    add("--statistics", type=path_text, help=f"picture of a data set's statistics: {', '.join(_STILL_TYPES)}")
    add(
        "--data_dir",
        type=path_text,
        help="a data set to read; without it, sequences are made from the settings below",
    )
    add("--split", default="train", help="which split's sequences")
    add("--first", type=non_negative_int, default=0, help="index of the first sequence")
    add("--num_sequences", type=positive_int, default=2, help="how many sequences")
    add("--num_frames", type=positive_int, default=5, help="frames a sequence, evenly spaced; not for .gif")
    add_dataset_flag(parser)
    kind = kind_of(arguments)
    add_setting_flags(parser.add_argument_group("settings, without --data_dir"), kind, of_examples=True)
    flags = parser.parse_args(arguments)
    settings = settings_given(flags, kind)
    if flags.data_dir is not None and settings:
        given = " and ".join(f"--{name}" for name in settings)
        raise RequestError(f"--data_dir brings its own settings; leave {given} out")
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
        flags.data_dir if flags.data_dir is not None else kind(**settings),
        split=flags.split,
        first=flags.first,
        num_sequences=flags.num_sequences,
        num_frames=flags.num_frames,
    )
    print(flags.output)
    return 0


if __name__ == "__main__":
    run(PROGRAM, main)
