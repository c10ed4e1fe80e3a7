"""What the trainer does in another way for one kind of data set, and how that is found by the kind's name."""

from __future__ import annotations

import importlib
from typing import ClassVar

from trainer.input.dataset_spec import DatasetSpec
from trainer.input.frame_records import FrameRecords
from trainer.input.frame_view import FrameView
from trainer.input.records import ExampleRecords, Records
from trainer.input.split_files import SplitFiles

# By name of the kind: the module and class of what is special to it. All other kinds go the general way.
SPECIAL = {"moving_line": "trainer.moving_line.kind:MovingLineKind"}
GENERAL = "trainer.frames.kind:FramesKind"
# All data sets with captions, where they are described.
DESCRIBING = "trainer.captions.kind:CaptionsKind"
# What runs were trained on whose ``config.json`` names no kind.
DEFAULT = "moving_line"


class Kind:
    """A kind of data set as the trainer reads it.

    Attributes:
        white: the highest value of a pixel.
    """

    white: ClassVar[int] = 255

    def records(self, spec: DatasetSpec) -> Records:
        """How a data set is read where all features are read whole."""
        return ExampleRecords(spec)


def kind_of(name: str) -> Kind:
    """The kind of data set of a name, where it is classified."""
    return _made(SPECIAL.get(name, GENERAL))


def describing_kind() -> Kind:
    """The kind of all data sets that are described."""
    return _made(DESCRIBING)


def records_of(files: SplitFiles) -> Records:
    """How a split is read. Where a view chooses frames, all kinds are read alike."""
    # Records with keys have frames and no other way of reading; without a view one frame is enough.
    view = FrameView(1) if files.view is None and files.spec.keys else files.view
    if view is not None:
        return FrameRecords(files.spec, view)
    return kind_of(files.spec.name).records(files.spec)


def _made(place: str) -> Kind:
    module, _, class_name = place.partition(":")
    kind: Kind = getattr(importlib.import_module(module), class_name)()
    return kind
