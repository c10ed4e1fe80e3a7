"""A kind that is not pure: its examples are files of a folder, which may change."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.dataset.features import ClassLabel, Feature, Tensor
from pipeline.definition import Definition


@dataclass(frozen=True)
class Notes(Definition):
    """Files of bytes, by number."""

    name = "notes"
    is_pure = False

    source: str = ""
    num_train: int = 60
    num_validation: int = 5
    num_test: int = 7
    sequences_per_shard: int | None = 20

    @property
    def features(self) -> Mapping[str, Feature]:
        return {"text": Tensor("uint8", (None,)), "label": ClassLabel(("even", "odd"))}

    def example(self, split: str, index: int) -> Mapping[str, Any]:
        content = (Path(self.source) / f"{split}-{index}").read_bytes()
        return {"text": np.frombuffer(content, np.uint8), "label": len(content) % 2}


def write_sources(directory: Path) -> Notes:
    """Write the files of a data set, each with other bytes."""
    directory.mkdir()
    definition = Notes(str(directory))
    for split, count in definition.num_sequences.items():
        for index in range(count):
            (directory / f"{split}-{index}").write_bytes(f"{split} {index} ".encode() * (index % 7 + 1))
    return definition
