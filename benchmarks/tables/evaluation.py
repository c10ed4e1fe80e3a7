"""How fast the evaluator is, beside Keras' `predict` in the tutorial way.

Both in processes of their own, in turn, with the same weights, on sequences of the same split. Ours is
`trainer.evaluate` on a data set of paths; its rate counts everything from the first record to the last
sum, the compilation of the model too, and it gives every metric after every frame. The other is `predict`
of the network in TimeDistributed layers on frames in arrays, its compilation not counted; it gives the
probabilities.
"""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.data import data_set_to_judge, run_to_judge
from benchmarks.jobs import call, command, result_of, seconds_of
from benchmarks.rows import Row, Target
from pipeline.command_line.errors import WorkError

# Ours, the tutorial's.
_FULL = 10_000, 1_000
_QUICK = 300  # Of both.
_ROUNDS = 2


def measure(directory: Path, quick: bool) -> list[Row]:
    """One row.

    Raises:
        WorkError: if the two do not judge the model alike.
    """
    count, tutorial_count = (_QUICK, _QUICK) if quick else _FULL
    data = data_set_to_judge(directory, count)
    model = run_to_judge(directory, data)
    # Both must find the same accuracy on the same sequences.
    few = data_set_to_judge(directory, tutorial_count)
    ours, other = _judge(directory, few, model), _predict(model, tutorial_count)
    accuracies = ours["metrics"]["accuracy"], other["accuracy"]
    if abs(accuracies[0] - accuracies[1]) * tutorial_count > 1:  # A probability may lie at the threshold.
        raise WorkError(f"accuracies differ: {accuracies[0]} and {accuracies[1]}")
    pairs = [(ours, other)] if quick else []
    for _ in range(0 if quick else _ROUNDS):
        pairs.append((_judge(directory, data, model), _predict(model, tutorial_count)))
    return [
        Row(
            "evaluate",
            "evaluate, every metric, CPU, sequences/s",
            "`predict` the tutorial way, on arrays in memory",
            tuple(
                (one["throughput"]["sequences_per_second"], two["sequences_per_second"]) for one, two in pairs
            ),
            target=Target(4),
        )
    ]


def _judge(directory: Path, data: Path, model: Path) -> dict[str, dict[str, float]]:
    output = directory / "metrics.json"
    seconds_of(command("trainer.evaluate", data_dir=data, model_dir=model, output=output))
    document: dict[str, dict[str, float]] = json.loads(output.read_text())
    return document


def _predict(model: Path, count: int) -> dict[str, float]:
    job = call("baselines.tutorial", "predict", tensorflow=True, model_dir=model, num_sequences=count)
    return dict(result_of(job))
