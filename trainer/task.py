"""Program: train a classifier."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import fields

from pipeline.command_line.arguments import ArgumentParser, non_negative_int, path_text, positive_int
from pipeline.command_line.errors import RequestError
from pipeline.command_line.program import run
from trainer.command_line.flags import add_on_corrupt, arguments_of_file

PROGRAM = "trainer.task"


def main(arguments: Sequence[str]) -> int:
    """Parse, train, say how it went and where it lies."""
    from trainer.command_line.startup import import_tensorflow_quietly

    import_tensorflow_quietly()
    flags = _parse(arguments)
    from trainer.distributed.strategy import find_cluster
    from trainer.training.loop import train
    from trainer.training.settings import Execution, TrainingSettings

    execution = Execution(**{field.name: getattr(flags, field.name) for field in fields(Execution)})
    if flags.feeds is None:
        cluster = find_cluster(execution.distribution)
        flags.feeds = cluster.size if cluster else 1
    settings = TrainingSettings(
        **{each.name: getattr(flags, each.name) for each in fields(TrainingSettings) if each.name in flags}
    )
    result = train(settings, flags.data_dir, flags.model_dir, execution)
    if result.resumed_from == result.step:
        print(f"already trained for {result.step} steps: nothing to do")
    else:
        print(f"weights sha256:{result.weights_sha256}")
    for row in result.history:
        if int(row["step"]) == result.kept:
            print(
                f"trained for {result.step} steps; kept the model after step {result.kept}:"
                f" validation loss {float(row['val_loss']):.3g}, accuracy {float(row['val_accuracy']):.4f}"
            )
    print(f"run directory: {flags.model_dir}")
    return 0


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = _parser()
    first = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    first.add_argument("--config", type=path_text)
    try:
        config = first.parse_known_args(arguments)[0].config
    except argparse.ArgumentError as error:
        raise RequestError(f"{error}; see {parser.prog} --help") from error
    if config is None:
        return parser.parse_args(arguments)
    from_file = arguments_of_file(config)
    try:
        return parser.parse_args([*from_file, *arguments])
    except RequestError as error:
        raise RequestError(f"--config {config}, or the flags after it: {error}") from error


def _parser() -> ArgumentParser:
    from model import ARCHITECTURES
    from model.execution import COMPILERS
    from model.frames import ARCHITECTURES as FRAME_ARCHITECTURES
    from model.frames import TEMPORAL
    from trainer.input.frame_view import SAMPLINGS
    from trainer.training.settings import (
        CLASS_WEIGHTS,
        DEFAULT_CHECKPOINT_STEPS,
        DISTRIBUTIONS,
        PRECISIONS,
        TASKS,
        Execution,
        TrainingSettings,
    )

    default, execution = TrainingSettings(), Execution()
    parser = ArgumentParser(
        PROGRAM,
        "Train a classifier on a data set. The same command again goes on at the last checkpoint.",
        f"python -m {PROGRAM} --data_dir /tmp/lines --model_dir /tmp/run --epochs 4 --steps_per_epoch 100",
    )
    add = parser.add_argument
    add(
        "--config",
        type=path_text,
        help="YAML or JSON file of these flags; those of the command line come on top",
    )
    add("--data_dir", required=True, type=path_text, help="a data set made by pipeline.generate")
    add("--model_dir", required=True, type=path_text, help="the run directory; made if it is not there")

    add = parser.add_argument_group("training").add_argument
    add("--epochs", type=positive_int, default=default.epochs, help="epochs, each with validation")
    add("--steps_per_epoch", type=positive_int, help="batches an epoch (default: a pass over the data)")
    add(
        "--batch_size",
        type=positive_int,
        default=default.batch_size,
        help="sequences a step, of all replicas",
    )
    add("--learning_rate", type=float, default=default.learning_rate, help="of Adam, the highest")
    add("--warmup_steps", type=non_negative_int, default=0, help="over which the rate rises from 0")
    add("--schedule", default=default.schedule, help="of the rate after that: cosine (to 0) or constant")
    add("--clip_norm", type=float, default=default.clip_norm, help="largest global norm of the gradients")
    add(
        "--early_stopping",
        type=positive_int,
        help="stop after so many epochs without a lower validation loss",
    )
    add(
        "--architecture",
        help=f"of moving lines: {', '.join(ARCHITECTURES)}; of clips: {', '.join(FRAME_ARCHITECTURES)}, or a"
        " name of keras.applications",
    )
    add("--precision", default=default.precision, help=f"{', '.join(PRECISIONS[:-1])} or {PRECISIONS[-1]}")
    add(
        "--seed", type=non_negative_int, default=default.seed, help="of weights, order of the data, and noise"
    )
    add(
        "--deterministic",
        action=argparse.BooleanOptionalAction,
        default=False,
        help="only operations that give the same bits every time, on GPUs too",
    )

    add = parser.add_argument_group("of clips, and of other data sets with frames").add_argument
    add("--num_frames", type=positive_int, help="frames that are shown of a clip (default: 16)")
    add(
        "--sampling",
        default=default.sampling,
        help=f"{' or '.join(SAMPLINGS)}: consecutive frames from a random one on, or one of every equal part",
    )
    add("--frame_step", type=positive_int, default=1, help="take every so many-th frame of a window")
    add("--crop", metavar="SIZE", help="show a part of the frame, at a random place: a side, or WIDTHxHEIGHT")
    switch = argparse.BooleanOptionalAction
    add("--flip", action=switch, default=False, help="mirror half of the clips left to right")
    add("--brightness", type=float, default=0.0, metavar="SHARE", help="of white that is added or taken away")
    add("--contrast", type=float, default=0.0, metavar="SHARE", help="by which contrast rises or falls")
    add("--temporal", default=default.temporal, help=f"over time: {' or '.join(TEMPORAL)} of the features")
    add("--units", type=positive_int, default=default.units, help="of the LSTM")
    add("--backbone_weights", type=path_text, metavar="FILE", help="weights of a keras.applications network")
    add("--freeze_backbone", action=switch, default=False, help="keep the weights of the encoder of frames")
    add("--class_weights", help=f"{CLASS_WEIGHTS[0]}: all classes weigh alike in the loss, however rare")
    add("--label_smoothing", type=float, default=0.0, metavar="SHARE", help="of labels, spread over classes")

    add = parser.add_argument_group("of describing in words").add_argument
    add("--task", help=f"{' or '.join(TASKS)} (default: classify where there are class labels)")
    add("--max_words", type=positive_int, default=default.max_words, help="most words of a caption")
    add(
        "--min_word_count",
        type=positive_int,
        default=default.min_word_count,
        help="rarer words of the training's captions are unknown ones",
    )
    add("--attention", action=switch, default=False, help="look at all frames before every word")
    add("--tie_embeddings", action=switch, default=False, help="read and write words by one embedding")
    add("--init_from", type=path_text, metavar="RUN", help="take the encoder of frames of a run's model")

    add = parser.add_argument_group("what the model sees of moving lines").add_argument
    add("--line", default=default.line, help="line: all pixels so far; dot: only the newest")
    add(
        "--window",
        type=positive_int,
        help="this many consecutive frames, from a random one on (default: all)",
    )
    add("--noise", type=float, default=default.noise, help="share of pixels that salt and pepper replace")

    add = parser.add_argument_group("input").add_argument
    add("--feeds", type=positive_int, help="inputs that shards are dealt to (default: one for every process)")
    add("--readers", type=positive_int, help="shards a feed reads in parallel (default: 16, or all if fewer)")
    add_on_corrupt(parser)
    add("--data_service", metavar="grpc://HOST:PORT", help="dispatcher of a tf.data service to read through")

    add = parser.add_argument_group("carrying it out").add_argument
    add(
        "--device",
        choices=("auto", "cpu", "gpu"),
        default=execution.device,
        help="auto: a GPU if there is one",
    )
    add(
        "--compile",
        choices=COMPILERS,
        default=execution.compile,
        help="by XLA or not; auto: on GPUs, and on JAX always",
    )
    add(
        "--distribution",
        choices=DISTRIBUTIONS,
        default=execution.distribution,
        help="mirrored: all devices of this machine; multi_worker: those of TF_CONFIG; auto: what is there",
    )
    add("--steps_per_execution", type=positive_int, default=1, help="steps at once without a look at Python")
    add(
        "--checkpoint_every",
        type=positive_int,
        metavar="STEPS",
        help=f"steps (default: {DEFAULT_CHECKPOINT_STEPS}, or none where --checkpoint_seconds is given)",
    )
    add(
        "--checkpoint_seconds",
        type=positive_int,
        metavar="SECONDS",
        help="seconds between checkpoints; with --checkpoint_every, whichever is due first",
    )
    add(
        "--keep_checkpoints",
        type=positive_int,
        default=execution.keep_checkpoints,
        help="besides the best one",
    )
    add(
        "--connect_timeout",
        type=positive_int,
        default=execution.connect_timeout,
        help="seconds to wait for others",
    )
    add(
        "--peer_timeout",
        type=positive_int,
        default=execution.peer_timeout,
        help="seconds after which a process of a cluster that is silent, or finishes nothing, is given up",
    )
    add(
        "--profile",
        type=_two_steps,
        metavar="FIRST,LAST",
        help="steps of this start to profile, for TensorBoard",
    )
    return parser


def _two_steps(text: str) -> tuple[int, int]:
    first, _, last = text.partition(",")
    if not (first.isdigit() and last.isdigit() and 0 < int(first) <= int(last)):
        raise argparse.ArgumentTypeError(f"{text!r}: give two steps, FIRST,LAST, as in 10,20")
    return int(first), int(last)


def _leave(code: int) -> None:
    """End this process; one of a cluster at once, for the runtimes' end waits for others that may be gone."""
    if os.environ.get("TF_CONFIG"):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


if __name__ == "__main__":
    # Until training begins, SIGTERM ends as Ctrl-C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    run(PROGRAM, main, _leave)
