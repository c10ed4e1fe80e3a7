"""Program: judge a trained model on held-out shards."""

from __future__ import annotations

import argparse
import os
import signal
from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.command_line.arguments import ArgumentParser, non_negative_int, path_text, positive_int
from pipeline.command_line.errors import RequestError
from pipeline.command_line.program import run
from pipeline.storage.files import check_directory
from trainer.command_line.flags import add_on_corrupt

PROGRAM = "trainer.evaluate"

_MOST_LINES = 40
_OF_ONE_MODEL = ("checkpoint", "output", "plots")
_REQUEST = (
    *_OF_ONE_MODEL,
    *("split", "batch_size", "on_corrupt", "flips", "seed", "views", "crops", "single_frame"),
    *("beam", "length_penalty"),
    *("checks", "baseline", "watch", "watch_timeout"),
)


def main(arguments: Sequence[str]) -> int:
    """Parse, evaluate, print the metrics; 1 if a check failed or a number is another than before."""
    flags = _parser().parse_args(arguments)
    _check_together(flags)

    from trainer.command_line.startup import import_tensorflow_quietly

    import_tensorflow_quietly()
    from trainer.distributed.devices import choose_device, use_one_core_per_operation

    device = choose_device(flags.device)
    use_one_core_per_operation()
    if flags.reproduce is not None:
        return _reproduce(flags, device)
    return _evaluate(flags, device)


def _parser() -> ArgumentParser:
    parser = ArgumentParser(
        PROGRAM,
        "Evaluate a trained model on every sequence of a split and write metrics.json.",
        f"python -m {PROGRAM} --data_dir /tmp/lines --split test --model_dir /tmp/run --output metrics.json",
    )
    add = parser.add_argument
    add("--data_dir", type=path_text, help="a data set made by pipeline.generate")
    add("--model_dir", type=path_text, help="the run directory of a finished training")
    add("--split", help="which split (default: test; with --watch: validation)")
    add("--checkpoint", type=path_text, help="a .keras file of the run to judge (default: its model.keras)")
    add("--output", type=path_text, help="where the metrics go (default: metrics.json)")
    add("--batch_size", type=positive_int, help="sequences a batch (default: 64)")
    add(
        "--device",
        choices=("auto", "cpu", "gpu"),
        default="cpu",
        help="cpu leaves a GPU to the training that may hold it; auto: a GPU where there is one",
    )
    add_on_corrupt(parser, default=None)

    add = parser.add_argument_group("what is judged besides").add_argument
    add(
        "--flips",
        type=_rates,
        metavar="SHARE,...",
        help="judge again with so many of the pixels flipped, as in 0,0.01,0.05",
    )
    add("--views", type=positive_int, help="of clips: average so many windows, spread over every clip")
    add("--crops", type=positive_int, help="of clips, trained with --crop: average so many crops of a window")
    add("--single_frame", action="store_true", default=None, help="of clips: judge again, shown one frame")
    add("--beam", type=positive_int, help="of captions: keep so many in a beam search (default: 1, greedy)")
    add(
        "--length_penalty",
        type=float,
        help="of --beam: 0 prefers short captions, 1 (default) none",
    )
    add("--noise", type=_not_noise, help=argparse.SUPPRESS)
    add("--seed", type=non_negative_int, help="which pixels are flipped (default: 0)")
    add("--slices", type=path_text, metavar="FILE", help="a Python file that registers more slicings")
    add("--plots", type=path_text, metavar="DIR", help="draw pictures and report.html into a directory")

    add = parser.add_argument_group("the gate").add_argument
    add(
        "--checks",
        type=path_text,
        metavar="FILE",
        help="YAML file of bounds; exit code 1 if one does not hold",
    )
    add("--baseline", type=path_text, metavar="FILE", help="a metrics.json that changes are counted from")

    add = parser.add_argument_group("beside a training").add_argument
    add(
        "--watch",
        action="store_true",
        default=None,
        help="judge every checkpoint of a running training as it appears, into evaluations/ of the run"
        " directory; ends when the training is done, with exit code 1 if the best fails a check",
    )
    add("--watch_timeout", type=positive_int, metavar="SECONDS", help="longest wait for a new checkpoint")

    add = parser.add_argument_group("again").add_argument
    add(
        "--reproduce",
        type=path_text,
        metavar="FILE",
        help="judge again what a metrics.json says, with its request; exit code 1 if a number is another."
        " --data_dir, --model_dir and --slices say where these lie now, if not where they lay",
    )
    return parser


def _rates(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(rate) for rate in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r}: give shares of pixels, as in 0,0.01,0.05") from None


def _not_noise(_: str) -> None:
    """Refuse a flag of the training, where it means salt and pepper."""
    raise argparse.ArgumentTypeError("is of trainer.task; the evaluation flips pixels, by --flips")


def _check_together(flags: argparse.Namespace) -> None:
    """Refuse flags that do not go together, and fill in what depends on others."""
    if flags.reproduce is not None:
        _refuse(flags, "--reproduce brings its own request", _REQUEST)
        return
    if flags.watch:
        _refuse(flags, "--watch judges checkpoints into the run directory", _OF_ONE_MODEL)
    elif flags.watch_timeout is not None:
        raise RequestError("--watch_timeout is of --watch; add it or leave --watch_timeout out")
    for name in ("data_dir", "model_dir"):
        if getattr(flags, name) is None:
            raise RequestError(f"--{name} is missing; see python -m {PROGRAM} --help")
    if flags.baseline is not None and flags.checks is None:
        raise RequestError("--baseline is for --checks of changes; add --checks or leave it out")
    if flags.seed is not None and flags.flips is None:
        raise RequestError("--seed decides which pixels --flips flips; add --flips or leave it out")


def _check_apart(flags: argparse.Namespace, output: str) -> None:
    """Refuse to write the metrics over what they are made of."""
    made_of = {f"--{name}": getattr(flags, name) for name in ("checks", "baseline", "slices", "checkpoint")}
    made_of |= {"the model": f"{flags.model_dir}/model.keras", "the run": f"{flags.model_dir}/config.json"}
    for name, path in made_of.items():
        if path is not None and os.path.realpath(path) == os.path.realpath(output):
            raise RequestError(f"--output {output}: would replace {name}; name another file")
    if flags.plots is not None and os.path.realpath(flags.plots) == os.path.realpath(output):
        raise RequestError(f"--output {output}: is the folder of --plots; name a file")


def _refuse(flags: argparse.Namespace, reason: str, names: Sequence[str]) -> None:
    if given := [f"--{name}" for name in names if getattr(flags, name) is not None]:
        raise RequestError(f"{reason}; leave {', '.join(given)} out")


def _evaluate(flags: argparse.Namespace, device: str) -> int:
    from trainer.evaluation.checks import Gate, read_checks, read_metrics
    from trainer.evaluation.evaluator import EvaluationRequest, evaluate_to_file
    from trainer.evaluation.report import write_report
    from trainer.evaluation.summary import checks_table, summary_text
    from trainer.evaluation.watching import watch

    request = EvaluationRequest(
        data_dir=flags.data_dir,
        model_dir=flags.model_dir,
        split=flags.split or ("validation" if flags.watch else "test"),
        batch_size=flags.batch_size or EvaluationRequest.batch_size,
        flips=flags.flips or (),
        seed=flags.seed or 0,
        views=flags.views,
        crops=flags.crops,
        single_frame=bool(flags.single_frame),
        beam=flags.beam,
        length_penalty=flags.length_penalty,
        on_corrupt=flags.on_corrupt or EvaluationRequest.on_corrupt,
        slices=flags.slices,
        checkpoint=flags.checkpoint,
    )
    if flags.plots is not None:
        check_directory(flags.plots, "--plots")
    output = flags.output or "metrics.json"
    _check_apart(flags, output)
    gate = Gate(
        read_checks(flags.checks) if flags.checks is not None else (),
        read_metrics(flags.baseline, "--baseline") if flags.baseline is not None else None,
    )
    if flags.watch:
        best = watch(request, gate, device, flags.watch_timeout)
        if gate.checks:
            print(checks_table(best["checks"]))
        return _passed(best)
    evaluation = evaluate_to_file(request, output, gate, device)
    print(summary_text(evaluation.document))
    if flags.plots is not None:
        print(write_report(evaluation.document, evaluation.evidence, flags.plots))
    if gate.checks:
        print(checks_table(evaluation.document["checks"]))
    print(output)
    return _passed(evaluation.document)


def _passed(document: Mapping[str, Any]) -> int:
    """The exit code."""
    return 1 if document["passed"] is False else 0


def _reproduce(flags: argparse.Namespace, device: str) -> int:
    from trainer.evaluation.checks import read_metrics
    from trainer.evaluation.evaluator import evaluate
    from trainer.evaluation.reproduction import changed_versions, differences, recorded_request

    before = read_metrics(flags.reproduce, "--reproduce")
    request = recorded_request(
        before, flags.reproduce, model_dir=flags.model_dir, data_dir=flags.data_dir, slices=flags.slices
    )
    now = evaluate(request, device=device).document
    found, versions = differences(before, now), changed_versions(before, now)
    if found:
        print(f"different: {len(found)} of what {flags.reproduce} says")
        print("\n".join(f"  {line}" for line in found[:_MOST_LINES]))
        if len(found) > _MOST_LINES:
            print(f"  and {len(found) - _MOST_LINES} more")
    else:
        print(f"same: every number of {flags.reproduce}")
    for line in versions:
        print(f"  not the same, and perhaps a reason: {line}" if found else f"  though {line}")
    return 1 if found else 0


if __name__ == "__main__":
    # An orchestrator's way to end a side-car is a user's Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    run(PROGRAM, main)
