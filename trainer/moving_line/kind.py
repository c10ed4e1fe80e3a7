"""Moving lines, as the trainer treats them; see `trainer.kinds`."""

from __future__ import annotations

from trainer.input.dataset_spec import DatasetSpec
from trainer.input.records import Records
from trainer.kinds import Kind
from trainer.moving_line.records import line_records


class MovingLineKind(Kind):
    """See `Kind`."""

    def records(self, spec: DatasetSpec) -> Records:
        """See `Kind.records`: paths in blocks, frames one by one."""
        return line_records(spec)
