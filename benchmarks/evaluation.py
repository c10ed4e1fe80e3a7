"""Program: how fast the evaluator is, beside Keras' `predict` in the tutorial way, and what memory it takes.

Speed: both in processes of their own, in turn, on the same sequences with the same weights. Ours is
`trainer.evaluate` on a data set of paths; its rate counts everything from the first record to the last sum,
the compilation of the model too. The other is `predict` of the network in TimeDistributed layers on frames
in arrays (`benchmarks.tutorial_predict`), its compilation not counted.

Memory: `trainer.evaluate` with all its processes, on a few and on many sequences.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from benchmarks.figures import Comparison, Spread, verdict
from benchmarks.jobs import command, output_of, seconds_of
from benchmarks.judged import data_set_to_judge, run_to_judge
from benchmarks.process_memory import HAS_PROC, MEASURE, peak_memory
from benchmarks.results_file import write_results
from pipeline.program import ArgumentParser, RequestError, positive_int, run

PROGRAM = "benchmarks.evaluation"

_MIN_RATIO = 4
_MAX_GROWTH_PERCENT = 10


def main(arguments: Sequence[str]) -> int:
    """Measure in turn, print two tables."""
    parser = ArgumentParser(
        PROGRAM,
        "Compare evaluation with Keras' predict, and measure its memory at two sizes (Linux).",
        f"python -m {PROGRAM} --output_dir /tmp/evaluation",
    )
    add = parser.add_argument
    add("--output_dir", required=True, help="for evaluation.json, the data sets and the model, which stay")
    add("--rounds", type=positive_int, default=5, help="of both sides in turn")
    add("--num_sequences", type=positive_int, default=20_000, help="evaluated a round")
    add("--tutorial_sequences", type=positive_int, default=2_000, help="predicted a round, which is slow")
    add("--few", type=positive_int, default=10_000, help="sequences of the smaller split for memory")
    add("--many", type=positive_int, default=1_000_000, help="sequences of the larger split for memory")
    flags = parser.parse_args(arguments)
    if not HAS_PROC:
        raise RequestError("memory is read from /proc, which this system does not have: run it on Linux")
    directory = Path(flags.output_dir)
    directory.mkdir(parents=True, exist_ok=True)
    sizes = (flags.few, flags.many)
    data = {size: data_set_to_judge(directory, size) for size in {flags.num_sequences, *sizes}}
    model = run_to_judge(directory, data[flags.num_sequences])

    metrics = directory / "metrics.json"
    judge = _judge(data[flags.num_sequences], model, metrics)
    tutorial = command(
        *("benchmarks.tutorial_predict", "--data_dir", data[flags.num_sequences], "--model_dir", model),
        *("--num_sequences", flags.tutorial_sequences),
    )
    rounds = []
    for _ in range(flags.rounds):
        seconds_of(judge)
        ours = json.loads(metrics.read_text())["throughput"]["sequences_per_second"]
        rounds.append({"ours": ours, "tutorial": float(output_of(tutorial))})
    memory = {size: peak_memory(_judge(data[size], model, metrics)) for size in sizes}
    path = directory / "evaluation.json"
    figures = {
        "unit": "sequences/s",
        "rounds": rounds,
        "memory": {"measure": MEASURE, "unit": "bytes", **memory},
    }
    write_results(path, ("tensorflow", "keras", "numpy"), figures)

    found = Comparison.of([(each["ours"], each["tutorial"]) for each in rounds])
    print("| sequences/s | ours | predict on arrays | ratio | target |")
    print("|---|---:|---:|---:|---|")
    target = verdict(f"at least {_MIN_RATIO} times", found.ratio.median >= _MIN_RATIO)
    print(found.row("evaluate on CPU", 0, target))
    growth = Spread.of([100 * (memory[flags.many] / memory[flags.few] - 1)])
    shown = (f"{memory[size] / 2**20:.0f} MiB of {size:,} sequences" for size in sizes)
    met = verdict(f"at most {_MAX_GROWTH_PERCENT} %", growth.median <= _MAX_GROWTH_PERCENT)
    print(f"peak {MEASURE}: {', '.join(shown)}: {growth.median:+.1f} %; {met}; {path}")
    return 0


def _judge(data: Path, model: Path, metrics: Path) -> list[str]:
    return command("trainer.evaluate", "--data_dir", data, "--model_dir", model, "--output", metrics)


if __name__ == "__main__":
    run(PROGRAM, main)
