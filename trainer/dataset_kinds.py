"""What the trainer does in another way for one kind of data set, and how that is found by the kind's name."""

from __future__ import annotations

import importlib

from trainer.input.dataset_spec import DatasetSpec
from trainer.input.frame_view import FrameView
from trainer.input.records import ExampleRecords, Records
from trainer.input.split_files import SplitFiles

# By name of the kind: the module and class of what is special to it. All other kinds go the general way.
SPECIAL = {"moving_line": "trainer.moving_line.kind:MovingLineKind"}
GENERAL = "trainer.frames.kind:FramesKind"
# What runs were trained on whose ``config.json`` names no kind.
DEFAULT = "moving_line"


class Kind:
    """A kind of data set as the trainer reads it."""

    def records(self, spec: DatasetSpec, view: FrameView | None = None) -> Records:
        """How a data set is read.

        Args:
            spec: of the data set.
            view: which frames are read; None reads all features whole.
        """
        return ExampleRecords(spec)


def kind_of(name: str) -> Kind:
    """The kind of data set of a name."""
    module, _, class_name = SPECIAL.get(name, GENERAL).partition(":")
    kind: Kind = getattr(importlib.import_module(module), class_name)()
    return kind


def records_of(files: SplitFiles) -> Records:
    """How a split is read."""
    return kind_of(files.spec.name).records(files.spec, files.view)
