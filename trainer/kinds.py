"""What the trainer does in another way for one kind of data set, and how that is found by the kind's name."""

from __future__ import annotations

import importlib

from trainer.input.dataset_spec import DatasetSpec
from trainer.input.records import ExampleRecords, Records

# By name of the kind: the module and class of what is special to it. All other kinds go the general way.
SPECIAL = {"moving_line": "trainer.moving_line.kind:MovingLineKind"}


class Kind:
    """A kind of data set as the trainer treats it, the general way."""

    def records(self, spec: DatasetSpec) -> Records:
        """How a data set is read."""
        return ExampleRecords(spec)


def kind_of(spec: DatasetSpec) -> Kind:
    """The kind of a data set."""
    if spec.name not in SPECIAL:
        return Kind()
    module, _, name = SPECIAL[spec.name].partition(":")
    kind: Kind = getattr(importlib.import_module(module), name)()
    return kind
