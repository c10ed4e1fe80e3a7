"""Program: predict sequences."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from pipeline.command_line.arguments import ArgumentParser, non_negative_int, path_text, positive_int
from pipeline.command_line.errors import RequestError
from pipeline.command_line.program import run
from pipeline.pictures.files import PICTURE_TYPES, check_picture_path
from pipeline.pictures.sequences import check_num_sequences, draw_sequences
from trainer.prediction.answers import ANSWER_FORMATS, check_answers_path, print_answers, write_answers
from trainer.prediction.sequence_files import open_sequence_files

PROGRAM = "trainer.predict"
DEFAULT_BATCH_SIZE = 64

# What chooses sequences, which files bring along.
_CHOOSING = ("data_dir", "split", "seed", "first", "num_sequences")

_DESCRIPTION = """\
Predict sequences: of a split of a data set, fresh ones from a seed, or all of files.

Files are arrays, .npy or .npz (the member 'frames', or the only one), of shape (n, T, S, S, 1),
(n, T, S, S), (T, S, S, 1) or (T, S, S): any number of frames of the model's image size, values from 0 to 1;
GIFs, each a sequence, where a pixel is 1 if its gray value is above 127; and TFRecords made by
pipeline.generate, also compressed by gzip. Arrays and GIFs are shown to the model as they are, TFRecords as
it saw sequences in training: line or dot, window, noise.
Answers are JSON lines on stdout, or go to --output; memory does not grow with the number of sequences."""


def main(arguments: Sequence[str]) -> int:
    """Parse, predict, print or write a line a sequence and draw them if asked to."""
    flags = _parser().parse_args(arguments)
    if flags.input is None:
        _predict_chosen(flags)
    else:
        _predict_files(flags)
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
        help="files to predict all sequences of: .npy, .npz, .gif or TFRecords",
    )
    add(
        "--batch_size",
        type=positive_int,
        help=f"with --input: sequences a batch (default: {DEFAULT_BATCH_SIZE})",
    )
    add(
        "--output",
        type=path_text,
        help=f"picture of the frames with the verdict: {', '.join(PICTURE_TYPES)}; .gif moves. With --input:"
        f" the answers, {' or '.join(ANSWER_FORMATS)}",
    )
    add("--device", choices=("auto", "cpu", "gpu"), default="cpu", help="auto: a GPU where there is one")
    return parser


def _predict_files(flags: argparse.Namespace) -> None:
    given = [f"--{name}" for name in _CHOOSING if getattr(flags, name) is not None]
    if given:
        raise RequestError(f"--input brings its own sequences; leave {', '.join(given)} out")
    if flags.output is not None:
        check_answers_path(flags.output)
    files = open_sequence_files(flags.input)

    _start(flags.device)
    from trainer.prediction.file_prediction import predict_files

    # A bar on the terminal that shows the lines would run into them.
    show_progress = flags.output is not None or not sys.stdout.isatty()
    answers = predict_files(
        files, flags.model_dir, flags.batch_size or DEFAULT_BATCH_SIZE, show_progress=show_progress
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

    _start(flags.device)
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


def _start(device: str) -> None:
    from trainer.command_line.startup import import_tensorflow_quietly

    import_tensorflow_quietly()
    from trainer.distributed.devices import choose_device

    choose_device(device)


if __name__ == "__main__":
    run(PROGRAM, main)
