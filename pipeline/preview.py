"""Program: draw sequences of a data set or of settings, a contact sheet, and the statistics of a data set."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from io import BytesIO
from itertools import islice

import numpy as np

from pipeline.command_line.arguments import ArgumentParser, non_negative_int, path_text, positive_int
from pipeline.command_line.errors import RequestError
from pipeline.command_line.program import run
from pipeline.command_line.setting_flags import (
    add_dataset_flag,
    add_setting_flags,
    kind_of,
    make_definition,
    settings_given,
)
from pipeline.dataset.caption_statistics import caption_lines
from pipeline.dataset.reader import Dataset
from pipeline.definition import Definition
from pipeline.pictures.contact_sheet import MAX_PER_CLASS, choose_tiles, class_names, draw_contact_sheet
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
    clip: str | None = None,
) -> None:
    """Draw sequences ``first`` .. ``first + num_sequences - 1`` of a split, or a clip, into a picture.

    Args:
        output: path of the picture; a ``.gif`` is animated, other types show frames side by side.
        source: a definition, to make the sequences, or the directory of a data set, to read them.
        split: name of the split.
        first: number of the first sequence in the split, from 0.
        num_sequences: number of sequences.
        num_frames: number of frames shown of each sequence, evenly spaced; not used for a ``.gif``.
        clip: name of a clip of a data set: draw it, from its first record to its last, instead of sequences.

    Raises:
        RequestError: if the request is wrong; nothing is written then.
        WorkError: if a shard is damaged or missing.
    """
    _sequences(output, source, split, first, num_sequences, num_frames, clip)()


def _sequences(
    output: str,
    source: Definition | str,
    split: str,
    first: int,
    num_sequences: int,
    num_frames: int,
    clip: str | None,
) -> Callable[[], None]:
    """Read what `preview` draws; returns what draws it."""
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
        if clip is not None:
            split, first, num_sequences = definition.at(source).find_source(clip)
        payloads = list(dataset.read(split, first, num_sequences))
    examples = [definition.decode(payload) for payload in payloads]
    titles = [
        f"{split} {first + place}: {definition.caption(example)}" for place, example in enumerate(examples)
    ]
    videos = [definition.frames(example) for example in examples]
    if clip is not None:
        videos, titles = [np.concatenate(videos)], titles[:1]
    return partial(draw_sequences, videos, titles, output, num_frames, definition.palette)


def preview_contact_sheet(
    output: str, data_dir: str, *, split: str = "train", per_class: int = 8, first_class: int = 0
) -> None:
    """Draw, for every class of a data set, the middle frames of the first sequences in a split.

    Args:
        output: path of the picture; not a ``.gif``.
        data_dir: directory of the data set.
        split: name of the split.
        per_class: number of sequences of a class.
        first_class: number of the first class; at most `pipeline.pictures.contact_sheet.MAX_CLASSES` follow.

    Raises:
        RequestError: if the request is wrong; nothing is written then.
        WorkError: if a shard is damaged or missing.
    """
    _contact_sheet(output, data_dir, split, per_class, first_class)()


def _contact_sheet(
    output: str, data_dir: str, split: str, per_class: int, first_class: int
) -> Callable[[], None]:
    """Read what `preview_contact_sheet` draws; returns what draws it."""
    check_picture_path(output, _STILL_TYPES, "--contact_sheet")
    if per_class > MAX_PER_CLASS:
        raise RequestError(f"--per_class {per_class}: a picture shows at most {MAX_PER_CLASS}")
    dataset = Dataset.open(data_dir)
    definition = dataset.manifest.definition
    names = class_names(definition, first_class)
    total = dataset.num_sequences(split)
    tiles = choose_tiles(definition, dataset.read(split, 0, total), names, per_class)
    title = f"{split}, classes {first_class} to {first_class + len(names) - 1}"
    return partial(draw_contact_sheet, tiles, title, output, definition.palette)


def preview_statistics(output: str, data_dir: str) -> list[str]:
    """Draw the statistics in a data set's manifest.

    Args:
        output: path of the picture; not a ``.gif``.
        data_dir: directory of the data set.

    Returns:
        Statistics of captions, as lines of text; see `caption_lines`.

    Raises:
        RequestError: if the request is wrong; nothing is written then.
        WorkError: if there are captions, and a shard is damaged or missing.
    """
    check_picture_path(output, _STILL_TYPES, "--statistics")
    dataset = Dataset.open(data_dir)
    manifest = dataset.manifest
    lines = caption_lines(dataset)
    splits = {name: manifest.statistics(name) for name in manifest.splits}
    manifest.definition.at(data_dir).draw_statistics(splits, output)
    return lines


def main(arguments: Sequence[str]) -> int:
    """Parse the arguments, draw, print the pictures' paths and caption statistics; returns the exit code."""
    parser = ArgumentParser(
        PROGRAM,
        "Draw sequences, as frames side by side or moving as a GIF; a contact sheet of a data set's classes;"
        " and its statistics.",
        f"python -m {PROGRAM} --output line.png --image_size 5 --num_frames 5",
    )
    add = parser.add_argument
    add("--output", type=path_text, help=f"picture of sequences: {', '.join(PICTURE_TYPES)}; .gif moves")
    add("--contact_sheet", type=path_text, help="picture of frames of every class, with their numbers")
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
    add("--clip", type=path_text, help="of clips: name of the clip to draw, instead of numbers")
    add("--per_class", type=positive_int, default=8, help="of the contact sheet: sequences of a class")
    add("--first_class", type=non_negative_int, default=0, help="of the contact sheet: the first class")
    add_dataset_flag(parser)
    kind = kind_of(arguments)
    add_setting_flags(parser.add_argument_group("settings, without --data_dir"), kind, of_examples=True)
    flags = parser.parse_args(arguments)
    settings = settings_given(flags, kind)
    if flags.data_dir is not None and settings:
        given = " and ".join(f"--{name}" for name in settings)
        raise RequestError(f"--data_dir brings its own settings; leave {given} out")
    if flags.output is None and flags.statistics is None and flags.contact_sheet is None:
        parser.error("give --output, --contact_sheet or --statistics")
    if flags.clip is not None and flags.first:
        raise RequestError("--clip names the sequences; leave --first out")
    for name in ("statistics", "contact_sheet", "clip"):
        if getattr(flags, name) is not None and flags.data_dir is None:
            parser.error(f"--{name} needs a data set: give --data_dir")
    drawings: dict[str, Callable[[], None]] = {}  # Nothing is drawn before all has been read.
    if flags.contact_sheet is not None:
        drawings[flags.contact_sheet] = _contact_sheet(
            flags.contact_sheet, flags.data_dir, flags.split, flags.per_class, flags.first_class
        )
    if flags.output is not None:
        drawings[flags.output] = _sequences(
            flags.output,
            flags.data_dir if flags.data_dir is not None else make_definition(kind, settings),
            flags.split,
            flags.first,
            flags.num_sequences,
            flags.num_frames,
            flags.clip,
        )
    if flags.statistics is not None:
        lines = preview_statistics(flags.statistics, flags.data_dir)
        print("\n".join([*lines, flags.statistics]))
    for path, draw in drawings.items():
        draw()
        print(path)
    return 0


if __name__ == "__main__":
    run(PROGRAM, main)
