"""Which task a data set sets, and whether models can be trained on it."""

from __future__ import annotations

from pipeline.command_line.errors import RequestError
from pipeline.dataset.features import ClassLabel, Feature
from trainer.dataset_kinds import SPECIAL, kind_of
from trainer.input.dataset_spec import DatasetSpec
from trainer.tasks.classify import Classify
from trainer.tasks.trainable_kind import TrainableKind

# By the type of the target.
TASKS: dict[type[Feature], type[Classify]] = {ClassLabel: Classify}


def task_of(spec: DatasetSpec) -> Classify:
    """The task that a data set sets; `check_trainable` has found one."""
    assert spec.target is not None
    return TASKS[type(spec.features[spec.target])](spec)


def check_trainable(spec: DatasetSpec, data_dir: str) -> None:
    """Check that models can be trained on a data set, and judged by it.

    Raises:
        RequestError: if not, with what they can be trained on.
    """
    has_task = spec.target is not None and type(spec.features[spec.target]) in TASKS
    if not (has_task and isinstance(kind_of(spec.name), TrainableKind)):
        raise RequestError(
            f"--data_dir {data_dir}: is a data set of {spec.name}; models can be trained on"
            f" {', '.join(SPECIAL)} only"
        )
