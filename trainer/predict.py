"""Program: predict sequences: moving lines, or clips."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pipeline.command_line.arguments import ArgumentParser, non_negative_int, path_text, positive_int
from pipeline.command_line.errors import RequestError
from pipeline.command_line.program import run
from pipeline.pictures.files import PICTURE_TYPES, check_picture_path
from pipeline.pictures.sequences import check_num_sequences, draw_sequences
from trainer.command_line.startup import import_tensorflow_quietly
from trainer.prediction.answers import ANSWER_TYPES, check_answers_path, print_answers, write_answers
from trainer.prediction.sequence_files import open_sequence_files

if TYPE_CHECKING:
    from trainer.prediction.clip_run import ClipRun
    from trainer.run.run_directory import RunDirectory

PROGRAM = "trainer.predict"
DEFAULT_BATCH_SIZE = 64

# What chooses sequences, which files bring along.
_CHOOSING = ("data_dir", "split", "seed", "first", "num_sequences")
# What is of files of clips, and of those whose answers are lines.
_OF_CLIPS = ("top_k", "stride", "on_bad_clip", "clip_timeout")
_OF_ANSWERS = ("top_k", "stride", "batch_size")
# What is of models that describe.
_OF_CAPTIONS = ("beam", "length_penalty")

_DESCRIPTION = """\
Predict sequences: of a split of a data set, fresh ones from a seed, or all of files.

Files of moving lines are arrays, .npy or .npz (the member 'frames', or the only one), of shape
(n, T, S, S, 1), (n, T, S, S), (T, S, S, 1) or (T, S, S): any number of frames of the model's image size,
values from 0 to 1; GIFs, each a sequence, where a pixel is 1 if its gray value is above 127; and TFRecords
made by pipeline.generate, also compressed by gzip. Arrays and GIFs are shown to the model as they are,
TFRecords as it saw sequences in training: line or dot, window, noise.
Files of clips are videos, images, folders of them, and patterns, prepared as the data set of the training
was (a folder of nothing but images is a clip, or many where the model sees one frame); arrays, uint8
(n, T, H, W, C) or (T, H, W, C); and TFRecords in their data set.
Answers are JSON lines on stdout, or go to --output; memory does not grow with the number of sequences."""


def main(arguments: Sequence[str]) -> int:
    """Parse, predict, print or write a line a sequence and draw them if asked to."""
    flags = _parser().parse_args(arguments)
    import_tensorflow_quietly()
    from trainer.captions.kind import CaptionsKind
    from trainer.distributed.devices import choose_device
    from trainer.run.run_directory import RunDirectory
    from trainer.tasks.trainable_kind import TracedKind, trained_kind

    choose_device(flags.device)
    run = RunDirectory(flags.model_dir)
    kind = trained_kind(run)
    _check_task(flags, describes=isinstance(kind, CaptionsKind))
    if isinstance(kind, TracedKind):
        _predict_lines(flags, run)
    elif flags.input is not None:
        _predict_clip_files(flags, run)
    else:
        _predict_clips_chosen(flags, run)
    return 0


def _parser() -> ArgumentParser:
    parser = ArgumentParser(
        PROGRAM,
        _DESCRIPTION,
        f"python -m {PROGRAM} --model_dir /tmp/run --num_sequences 4 --output predictions.png\n"
        f"  python -m {PROGRAM} --model_dir /tmp/run --input frames.npz line.gif --output predictions.jsonl",
    )
    add = parser.add_argument
    add("--model_dir", required=True, type=path_text, help="the run directory of a finished training")
    add("--data_dir", type=path_text, help="a data set; without it, fresh sequences are drawn from the seed")
    add("--split", help="with --data_dir: which split (default: test)")
    add("--seed", type=non_negative_int, help="without --data_dir: decides the sequences (default: 0)")
    add("--first", type=non_negative_int, help="index of the first sequence (default: 0)")
    add("--num_sequences", type=positive_int, help="how many sequences (default: 1)")
    add(
        "--input",
        type=path_text,
        nargs="+",
        action="extend",
        metavar="FILE",
        help="files to predict all sequences of: .npy, .npz, .gif or TFRecords; of clips also videos, images,"
        " folders of them, and patterns",
    )
    add(
        "--batch_size",
        type=positive_int,
        help=f"with --input: sequences a batch (default: {DEFAULT_BATCH_SIZE}; of clips 16)",
    )
    add("--top_k", type=positive_int, help="with --input, of clips: list so many classes, the best first")
    add(
        "--beam",
        type=positive_int,
        help="of models that describe: beginnings of captions that are kept (default: 1)",
    )
    add(
        "--length_penalty",
        type=float,
        help="of models that describe, with --beam: 0 prefers short captions, 1 does not (default: 1)",
    )
    add(
        "--stride",
        type=positive_int,
        metavar="FRAMES",
        help="with --input, of clips: an answer every so many frames (default: one a clip, of its middle)",
    )
    add(
        "--on_bad_clip",
        choices=("fail", "skip"),
        help="with --input, of clips: skip names a file that cannot be decoded, and goes on (default: fail)",
    )
    add(
        "--clip_timeout",
        type=positive_int,
        help="with --input, of clips: seconds that decoding a file may take (default: 600)",
    )
    add(
        "--output",
        type=path_text,
        help=f"picture of the frames with the verdict: {', '.join(PICTURE_TYPES)}; .gif moves. With --input:"
        f" the answers, {' or '.join(ANSWER_TYPES)}; of at most 5 clips also a picture",
    )
    add("--device", choices=("auto", "cpu", "gpu"), default="cpu", help="auto: a GPU where there is one")
    return parser


def _check_task(flags: argparse.Namespace, *, describes: bool) -> None:
    for name in ("top_k",) if describes else _OF_CAPTIONS:
        if getattr(flags, name) is not None:
            is_of, trained = ("classes", "describe") if describes else ("captions", "classify")
            raise RequestError(f"--{name}: is of {is_of}, the model was trained to {trained}; leave it out")


def _predict_lines(flags: argparse.Namespace, run: RunDirectory) -> None:
    # A model of lines needs no config.json. Who means one of clips is told that there is none.
    has_config = run.training_data() is not None
    missing = "" if has_config else f"; of a run on others, {run.config_path} is missing"
    for name in _OF_CLIPS:
        if getattr(flags, name) is not None:
            raise RequestError(
                f"--{name}: is of clips, the model was trained on moving lines; leave it out{missing}"
            )
    if flags.input is None:
        _predict_chosen(flags)
    else:
        _predict_files(flags, missing)


def _check_input_alone(flags: argparse.Namespace) -> None:
    given = [f"--{name}" for name in _CHOOSING if getattr(flags, name) is not None]
    if given:
        raise RequestError(f"--input brings its own sequences; leave {', '.join(given)} out")


def _predict_files(flags: argparse.Namespace, missing: str) -> None:
    _check_input_alone(flags)
    if flags.output is not None:
        check_answers_path(flags.output)
    try:
        files = open_sequence_files(flags.input)
    except RequestError as error:
        raise RequestError(f"{error}{missing}") from error

    from trainer.prediction.file_prediction import predict_files

    answers = predict_files(
        files, flags.model_dir, flags.batch_size or DEFAULT_BATCH_SIZE, show_progress=_shows_progress(flags)
    )
    if flags.output is None:
        print_answers(answers)
    else:
        write_answers(answers, flags.output)
        print(flags.output)


def _predict_chosen(flags: argparse.Namespace) -> None:
    if flags.batch_size is not None:
        raise RequestError("--batch_size is of --input; add it or leave --batch_size out")
    if flags.data_dir is not None and flags.seed is not None:
        raise RequestError("--data_dir brings its own sequences; leave --seed out")
    if flags.data_dir is None and flags.split is not None:
        raise RequestError("--split is of a data set; add --data_dir or leave it out")
    num_sequences = flags.num_sequences or 1
    if flags.output is not None:
        check_picture_path(flags.output)
        check_num_sequences(num_sequences)

    from trainer.prediction.sequence_prediction import predict

    predictions = predict(
        flags.model_dir,
        num_sequences,
        flags.first or 0,
        data_dir=flags.data_dir,
        split=flags.split or "test",
        seed=flags.seed or 0,
    )
    verdicts = predictions.verdicts()
    print("\n".join(verdicts))
    if flags.output is not None:
        draw_sequences(list(predictions.frames), verdicts, flags.output, 5, predictions.palette)
        print(flags.output)


def _predict_clip_files(flags: argparse.Namespace, run: RunDirectory) -> None:
    _check_input_alone(flags)
    is_picture = flags.output is not None and flags.output.endswith(PICTURE_TYPES)
    if is_picture:
        check_picture_path(flags.output)
        if given := [f"--{name}" for name in _OF_ANSWERS if getattr(flags, name) is not None]:
            raise RequestError(f"{given[0]}: is of answers, not of a picture; leave it out")
    elif flags.output is not None:
        check_answers_path(flags.output)
    from trainer.prediction.clip_prediction import DEFAULT_BATCH_SIZE as BATCH_SIZE
    from trainer.prediction.clip_prediction import draw_clip_files, predict_clip_files

    of_files = {"skip_bad": flags.on_bad_clip == "skip", "clip_timeout": flags.clip_timeout}
    if is_picture:
        print("\n".join(draw_clip_files(_opened(flags, run), flags.input, flags.output, **of_files)))
        print(flags.output)
        return
    opened = _opened(flags, run)
    answers = predict_clip_files(
        opened,
        flags.input,
        batch_size=flags.batch_size or BATCH_SIZE,
        stride=flags.stride,
        show_progress=_shows_progress(flags),
        **of_files,
    )
    if flags.output is None:
        print_answers(answers)
    else:
        write_answers(answers, flags.output, opened.how.columns)
        print(flags.output)


def _predict_clips_chosen(flags: argparse.Namespace, run: RunDirectory) -> None:
    if flags.data_dir is None or flags.seed is not None:
        raise RequestError(
            "only moving lines are drawn from a seed, and the model was trained on others, or to describe;"
            " give --input or --data_dir, and no --seed"
        )
    if given := [f"--{name}" for name in (*_OF_CLIPS, "batch_size") if getattr(flags, name) is not None]:
        raise RequestError(f"{given[0]} is of --input; add it or leave {given[0]} out")
    num_sequences = flags.num_sequences or 1
    if flags.output is not None:
        check_picture_path(flags.output)
        check_num_sequences(num_sequences)
    from trainer.prediction.clip_prediction import predict_clip_records

    verdicts = predict_clip_records(
        _opened(flags, run),
        flags.data_dir,
        flags.split or "test",
        flags.first or 0,
        num_sequences,
        flags.output,
    )
    print("\n".join(verdicts))
    if flags.output is not None:
        print(flags.output)


def _opened(flags: argparse.Namespace, run: RunDirectory) -> ClipRun:
    from trainer.captions.captioning import Decoding
    from trainer.prediction.clip_run import ClipRun

    beam = Decoding.beam if flags.beam is None else flags.beam
    penalty = Decoding.length_penalty if flags.length_penalty is None else flags.length_penalty
    return ClipRun.of(run, top_k=flags.top_k, decoding=Decoding(beam, penalty))


def _shows_progress(flags: argparse.Namespace) -> bool:
    # A bar on the terminal that shows the lines would run into them.
    return flags.output is not None or not sys.stdout.isatty()


if __name__ == "__main__":
    run(PROGRAM, main)
