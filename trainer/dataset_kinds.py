"""What the trainer does in another way for one kind of data set, and how that is found by the kind's name."""

from __future__ import annotations

import importlib

from trainer.input.dataset_spec import DatasetSpec
from trainer.input.records import ExampleRecords, Records

# By name of the kind: the module and class of what is special to it. All other kinds go the general way.
SPECIAL = {"moving_line": "trainer.moving_line.kind:MovingLineKind"}
# What runs were trained on whose ``config.json`` names no kind.
DEFAULT = "moving_line"


class Kind:
    """A kind of data set as the trainer treats it, the general way."""

    def records(self, spec: DatasetSpec) -> Records:
        """How a data set is read."""
        return ExampleRecords(spec)


def kind_of(name: str) -> Kind:
    """The kind of data set of a name."""
    if name not in SPECIAL:
        return Kind()
    module, _, class_name = SPECIAL[name].partition(":")
    kind: Kind = getattr(importlib.import_module(module), class_name)()
    return kind
