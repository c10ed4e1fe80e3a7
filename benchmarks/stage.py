"""Program: one stage of the data's way, and nothing else; for `stages`, which keeps it on one core.

Prints JSON: how many ``sequences`` it took, in how many ``seconds``, the ``peak_bytes`` of this process
and, where the stage writes records, their ``bytes``. What is done once, as imports and compilation, is not
in the seconds; evaluation, which compiles by itself, counts that.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Sequence

from benchmarks.process_memory import own_peak
from pipeline.command_line.arguments import ArgumentParser, path_text, positive_int
from pipeline.command_line.program import run
from pipeline.moving_line.definition import MovingLine

PROGRAM = "benchmarks.stage"

IMAGE_SIZE = 50
READ_BATCH_SIZE = 256
TRAINING_BATCH_SIZE = 32

_SEED = 0
_READERS = 16
_WARM_UP_STEPS = 5

# What a stage took and left, by name.
Figures = dict[str, float]


def main(arguments: Sequence[str]) -> int:
    """Do the stage."""
    parser = ArgumentParser(
        PROGRAM,
        "Do one stage in this process, timed.",
        f"python -m {PROGRAM} --stage reading --data_dir /tmp/lines --num_sequences 1000000",
    )
    add = parser.add_argument
    add("--stage", choices=tuple(_STAGES), required=True, help="what to do")
    add(
        "--data_dir",
        type=path_text,
        required=True,
        help="data set to work on; a new directory to generate in",
    )
    add("--num_sequences", type=positive_int, required=True, help="how many, if the stage chooses")
    add("--encoding", default="path", help="of what is generated")
    add("--model_dir", type=path_text, help="the run whose model evaluates")
    flags = parser.parse_args(arguments)
    given = {"encoding": flags.encoding, "model_dir": flags.model_dir}
    figures = _STAGES[flags.stage](flags.data_dir, flags.num_sequences, **given)
    print(json.dumps({**figures, "peak_bytes": own_peak()}))
    return 0


def _generate(data_dir: str, count: int, *, encoding: str, **_: str) -> Figures:
    """Make the shards as a Beam worker does."""
    from pipeline.generation.request import Request
    from pipeline.generation.shard_writer import Publisher, make_shard
    from pipeline.generation.work_folder import WorkFolder

    definition = MovingLine(_SEED, IMAGE_SIZE, encoding, count, 1, 1)
    plan, workspace, publisher = definition.shards(), Workspace(data_dir), Publisher()
    workspace.make_state()
    workspace.write_request(Request.of(definition))
    for shard in plan:
        if shard.split != "train":  # Which builds what is built once.
            make_shard(shard, definition, data_dir)
    shards = [shard for shard in plan if shard.split == "train"]
    start = time.perf_counter()
    for shard in shards:
        make_shard(shard, definition, data_dir, publisher.submit)
    publisher.wait()
    seconds = time.perf_counter() - start
    num_bytes = sum(workspace.read_report(shard, definition).entry.num_bytes for shard in shards)
    return {"sequences": count, "seconds": seconds, "bytes": num_bytes}


def _verify(data_dir: str, _count: int, **_: str) -> Figures:
    """Check the shards as a process of pipeline.verify does."""
    from pipeline.command_line.errors import WorkError
    from pipeline.dataset.reader import Dataset
    from pipeline.verification.shard_check import check_shard

    manifest = Dataset.open(data_dir).manifest
    with tempfile.TemporaryDirectory() as hashes:

        def check(*splits: str) -> None:
            for listed in manifest.listed_shards().items():
                if (
                    listed[0].split in splits
                    and check_shard(listed, manifest.definition, data_dir, hashes).problems
                ):
                    raise WorkError(f"{data_dir}: is damaged; remove it")

        check("validation", "test")
        start = time.perf_counter()
        check("train")
        seconds = time.perf_counter() - start
    return {"sequences": manifest.splits["train"].num_sequences, "seconds": seconds}


def _read(data_dir: str, count: int, **_: str) -> Figures:
    """Read shuffled training batches; TensorFlow has as many threads as it may use cores."""
    from trainer.command_line.startup import import_tensorflow_quietly

    import_tensorflow_quietly()
    from trainer.input.feeds import Part, training_part
    from trainer.input.split_files import read_manifest, split_files
    from trainer.training.settings import TrainingSettings

    files = split_files(data_dir, read_manifest(data_dir), "train")
    settings = TrainingSettings(batch_size=READ_BATCH_SIZE)
    steps = max(1, count // READ_BATCH_SIZE)
    batches = training_part(files, settings, min(_READERS, len(files.paths)), 0, Part(0, 1))
    next(iter(batches))
    start = time.perf_counter()
    for _batch in batches.take(steps):
        pass
    return {"sequences": steps * READ_BATCH_SIZE, "seconds": time.perf_counter() - start}


def _train(data_dir: str, count: int, **_: str) -> Figures:
    """Train on paths that are drawn and classified, as the trainer does."""
    from trainer.command_line.startup import import_tensorflow_quietly

    import_tensorflow_quietly()
    from benchmarks.trainers import Ours

    ours = Ours(data_dir, TRAINING_BATCH_SIZE, "float32", "cpu")
    ours.train(_WARM_UP_STEPS)
    steps = max(1, count // TRAINING_BATCH_SIZE)
    start = time.perf_counter()
    ours.train(steps)
    return {"sequences": steps * TRAINING_BATCH_SIZE, "seconds": time.perf_counter() - start}


def _evaluate(data_dir: str, _count: int, *, model_dir: str, **_: str) -> Figures:
    """Judge every test sequence, with every metric."""
    from trainer.command_line.startup import import_tensorflow_quietly

    import_tensorflow_quietly()
    from trainer.distributed.devices import choose_device, use_one_core_per_operation
    from trainer.evaluation.evaluator import EvaluationRequest, evaluate

    device = choose_device("cpu")
    use_one_core_per_operation()
    document = evaluate(EvaluationRequest(data_dir=data_dir, model_dir=model_dir), device=device).document
    # As the evaluator counts it: from the first record to the last sum.
    return {
        "sequences": document["dataset"]["num_sequences"],
        "seconds": document["throughput"]["seconds"],
    }


_STAGES: dict[str, Callable[..., Figures]] = {
    "generation": _generate,
    "verification": _verify,
    "reading": _read,
    "training": _train,
    "evaluation": _evaluate,
}


if __name__ == "__main__":
    run(PROGRAM, main)
