"""What every kind of data set provides, and how a kind is found by name.

A **kind** is a frozen dataclass that derives from `Definition`; its fields are the settings, and the flags
of `pipeline.generate`. An instance **defines** one data set: which examples each split has, and the very
bytes of their records. Everything else (job, resuming, manifest, verification, repair, duplicates, TFDS
metadata, preview, reading) works on any definition.

A kind of one's own needs `features` and `example`; the other methods have defaults, which are for kinds that
do something in a quicker way, or know more of their examples.
"""

from __future__ import annotations

import hashlib
import importlib
import re
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, field, fields, is_dataclass
from functools import cached_property
from typing import Any, ClassVar, Self, get_type_hints

import numpy as np

from pipeline.command_line.errors import RequestError, one_line
from pipeline.dataset.block import Block, RecordBlock, content_of
from pipeline.dataset.example_counts import ExampleCounts
from pipeline.dataset.features import ZLIB, ClassLabel, Feature, Tensor, decode, encode
from pipeline.dataset.shard_plan import Shard, plan_shards
from pipeline.dataset.statistics import ChiSquaredTest, Statistics, total

# The built-in kinds, by the name that ``--dataset`` takes.
KINDS = {"moving_line": "pipeline.moving_line.definition:MovingLine"}

_NAME = re.compile(r"[a-z][a-z0-9_]*")
_BLOCK_BYTES = 2**20
_BLOCK_EXAMPLES = 4096
_SAMPLE_EXAMPLES = 16


def setting(default: Any, help: str, *, type: Any = None, choices: Sequence[str] = ()) -> Any:  # noqa: A002
    """A field of a kind, with what its flag needs.

    Args:
        default: its value where the flag is not given.
        help: of the flag.
        type: turns the flag's text into the value; by default, the type of the field.
        choices: the values that it may have; by default, any.
    """
    return field(default=default, metadata={"help": help, "type": type, "choices": tuple(choices) or None})


class Definition(ABC):
    """A data set to be made, of some kind.

    Attributes:
        name: of the kind: letters of lower case, digits and _. Names of files begin with it.
        title: of the kind, for people; by default, the name.
        description: of the kind, for the metadata of TFDS; by default, the class' docstring.
        version: of the kind. Raise it with every change that makes other bytes of the same settings.
        format_version: of the manifest; see `pipeline.dataset.manifest`.
        is_pure: whether `blocks` depends on the settings alone. Then verification makes every record again
            and compares; else records are compared with digests that generation kept beside the shards.
        examples_per_leaf: of the content digest.
        palette: see `pipeline.pictures.sequences.draw_sequences`.
        sequences_per_shard: the most examples in a shard; None chooses automatically.

    Raises:
        RequestError: naming the flag that is wrong.
    """

    name: ClassVar[str]
    title: ClassVar[str] = ""
    description: ClassVar[str] = ""
    version: ClassVar[int] = 1
    format_version: ClassVar[int] = 3
    is_pure: ClassVar[bool] = True
    examples_per_leaf: ClassVar[int] = 1
    palette: ClassVar[Sequence[str] | None] = None
    sequences_per_shard: int | None = None

    def __post_init__(self) -> None:
        """Check the numbers of examples."""
        for split, count in self.num_sequences.items():
            if count < 1:
                raise RequestError(f"--num_{split} {count}: give a whole number of at least 1")
        if self.sequences_per_shard is not None and self.sequences_per_shard < 1:
            raise RequestError(
                f"--sequences_per_shard {self.sequences_per_shard}: give a whole number of at least 1"
            )

    @property
    @abstractmethod
    def features(self) -> Mapping[str, Feature]:
        """What a record holds, by name. The first one is the input, the first class label the target."""

    def example(self, split: str, index: int) -> Mapping[str, Any]:
        """Example number ``index`` of a split: a value for every feature, as `Feature.encode` takes it."""
        raise NotImplementedError(f"{type(self).__name__} defines neither example nor blocks")

    @property
    def num_sequences(self) -> dict[str, int]:
        """Number of examples of each split; by default, the settings ``num_SPLIT``."""
        return {name.removeprefix("num_"): getattr(self, name) for name in self.counts()}

    @classmethod
    def counts(cls) -> list[str]:
        """Names of the settings that decide only how many examples there are; by default, ``num_SPLIT``."""
        names = {each.name for each in fields(cls)}  # type: ignore[arg-type]  # Kinds are dataclasses.
        return [name for name in ("num_train", "num_validation", "num_test") if name in names]

    def random(self, split: str, index: int) -> np.random.Generator:
        """Random numbers of one example: a function of the kind, its settings, the split and the number.

        `counts` and ``sequences_per_shard`` have no influence. The raw bits are the same with
        every version of NumPy; how its methods turn them into numbers may change.
        """
        without = (*self.counts(), "sequences_per_shard")
        decides = {name: value for name, value in self.to_json().items() if name not in without}
        identity = f"{self.name} {self.version}\0{sorted(decides.items())}\0{split}"
        key = int.from_bytes(hashlib.sha256(identity.encode()).digest()[:16], "little")
        return np.random.Generator(np.random.Philox(key=key, counter=index << 64))

    def libraries(self) -> dict[str, str]:
        """Versions, by name, of the libraries that decide the bytes of a record."""
        compressed = any(
            isinstance(each, Tensor) and each.encoding == ZLIB for each in self.features.values()
        )
        return {"numpy": np.__version__, **({"zlib": zlib.ZLIB_RUNTIME_VERSION} if compressed else {})}

    def blocks(self, split: str, first: int, count: int) -> Iterator[Block]:
        """Examples ``first`` .. ``first + count - 1`` of a split, in blocks that are bounded in bytes.

        Raises:
            ValueError: if an example is not of the features.
        """
        payloads: list[bytes] = []
        statistics: list[Statistics] = []
        num_bytes = 0
        for index in range(first, first + count):
            example = self.example(split, index)
            payloads.append(encode(self.features, example))
            statistics.append(self.count(example))
            num_bytes += len(payloads[-1])
            if len(payloads) == _BLOCK_EXAMPLES or num_bytes >= _BLOCK_BYTES or index == first + count - 1:
                yield RecordBlock(index + 1 - len(payloads), payloads, total(statistics))
                payloads, statistics, num_bytes = [], [], 0

    def block_of(self, first: int, payloads: Sequence[bytes]) -> Block:
        """A block of records that were read, of which ``first`` is the first one's number in its split.

        Raises:
            ValueError: naming what is wrong with a record.
        """
        statistics = (self.count(self.decode(payload)) for payload in payloads)
        return RecordBlock(first, payloads, total(statistics))

    def content(self, payload: bytes) -> bytes:
        """The content of a record: a row of `Block.contents`.

        Raises:
            ValueError: naming what is wrong, if it is no record of this definition.
        """
        self.decode(payload)
        return content_of(payload)

    @cached_property
    def record_bytes(self) -> int:
        """About how many bytes a record takes on disk, framing included; by default, of the first ones."""
        split, count = next(iter(self.num_sequences.items()))
        count = min(count, _SAMPLE_EXAMPLES)
        return max(1, sum(len(block.records()) for block in self.blocks(split, 0, count)) // count)

    @property
    def content_identity(self) -> dict[str, Any]:
        """What identifies the kind in the content digest, besides the examples."""
        return {"dataset": self.name}

    def shards(self) -> list[Shard]:
        """The files of the data set, split by split.

        Raises:
            RequestError: if there are too many.
        """
        return plan_shards(self.name, self.num_sequences, self.record_bytes, self.sequences_per_shard)

    def count(self, example: Mapping[str, Any]) -> Statistics:
        """Statistics of one example."""
        return ExampleCounts.of(self.features, example)

    def statistics_from_json(self, document: Mapping[str, Any]) -> Statistics:
        """The inverse of `Statistics.to_json`.

        Raises:
            TypeError, LookupError, OverflowError: if it is not what that gives.
        """
        return ExampleCounts.from_json(document)

    def chi_squared_tests(self, split: str, statistics: Statistics) -> list[ChiSquaredTest]:
        """Whether statistics of a split may come from this definition; none by default."""
        return []

    def decode(self, payload: bytes) -> dict[str, Any]:
        """The example of a record, by feature.

        Raises:
            ValueError: naming what is wrong, if it is no record of this definition.
        """
        return decode(self.features, payload)

    def frames(self, example: Mapping[str, Any]) -> np.ndarray[Any, Any]:
        """What `pipeline.preview` draws: uint8 (T, H, W, C), C = 1 or 3; by default, the first feature.

        Raises:
            RequestError: if that is no video.
        """
        name, value = next(iter(example.items()))
        if np.ndim(value) != 4 or np.shape(value)[3] not in (1, 3):
            raise RequestError(f"{self.name}: feature {name} of shape {np.shape(value)} is no video to draw")
        return np.asarray(value)

    def caption(self, example: Mapping[str, Any]) -> str:
        """What `pipeline.preview` writes above an example; by default, its class."""
        labels = (
            feature.names[example[name]]
            for name, feature in self.features.items()
            if isinstance(feature, ClassLabel)
        )
        return ", ".join(labels)

    def draw_statistics(self, splits: Mapping[str, Statistics], path: str) -> None:
        """Draw statistics by split into a picture; by default, bars of classes and lengths."""
        # It needs Matplotlib, which workers do without.
        from pipeline.pictures.example_counts import draw_example_counts

        draw_example_counts(splits, path)

    def to_json(self) -> dict[str, Any]:
        """The settings as they stand in the manifest."""
        return asdict(self)  # type: ignore[call-overload, no-any-return]  # Kinds are dataclasses.

    @classmethod
    def from_json(cls, settings: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`.

        Raises:
            TypeError, ValueError: if it is not what `to_json` gives.
        """
        hints = get_type_hints(cls)
        for name, value in settings.items():
            allowed = getattr(hints.get(name), "__args__", (hints.get(name),))
            if type(value) not in allowed:  # True and 1.0 would pass for 1.
                raise TypeError(f"{name} is {value!r}")
        return cls(**settings)


def find_kind(dataset: str) -> type[Definition]:
    """The kind that ``--dataset`` names: one of `KINDS`, or ``MODULE:NAME`` of a module that Python finds.

    Raises:
        RequestError: if there is no such kind.
    """
    module, _, name = KINDS.get(dataset, dataset).partition(":")
    if not (module and name):
        raise RequestError(
            f"--dataset {dataset}: give {', '.join(KINDS)}, or MODULE:NAME of a kind of your own"
        )
    try:
        kind = getattr(importlib.import_module(module), name)
    except Exception as error:  # A module of the user's may raise anything.
        raise RequestError(
            f"--dataset {dataset}: cannot be imported ({type(error).__name__}: {one_line(error)});"
            " PYTHONPATH names folders of modules"
        ) from error
    if not (isinstance(kind, type) and issubclass(kind, Definition) and is_dataclass(kind)):
        raise RequestError(f"--dataset {dataset}: is no dataclass that derives from Definition")
    if not _NAME.fullmatch(getattr(kind, "name", "")):
        raise RequestError(f"--dataset {dataset}: give it a name of lower-case letters, digits and _")
    return kind


def reference_to(kind: type[Definition]) -> str:
    """What ``--dataset`` takes to find a kind."""
    reference = f"{kind.__module__}:{kind.__qualname__}"
    return next((name for name, of_it in KINDS.items() if of_it == reference), reference)
