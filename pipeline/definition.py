"""The interface of a kind of data set, and finding a kind by its name.

A **kind** is a frozen dataclass that derives from `Definition`. Its fields are the settings; each is a flag
of `pipeline.generate`. An instance **defines** one data set: the examples of every split, and the exact bytes
of their records. All other parts (job, resuming, manifest, verification, repair, duplicates, TFDS metadata,
preview, reading) work with any definition.

A kind must define `features` and `example`. The other methods have defaults; a kind may override them, for
example to make many examples at once, or to count other statistics.
"""

from __future__ import annotations

import hashlib
import importlib
import re
import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from functools import cache, cached_property
from types import MappingProxyType
from typing import Any, ClassVar, Literal, Self, get_args, get_origin, get_type_hints

import numpy as np

from pipeline.command_line.errors import RequestError, one_line
from pipeline.dataset.block import Block, RecordBlock, content_of
from pipeline.dataset.example_counts import ExampleCounts
from pipeline.dataset.features import (
    ZLIB,
    ClassLabel,
    Feature,
    Tensor,
    Text,
    Video,
    decode,
    encode,
)
from pipeline.dataset.shard_plan import Shard, plan_shards
from pipeline.dataset.statistics import ChiSquaredTest, Statistics, total

# The built-in kinds: value of ``--dataset`` -> MODULE:NAME.
KINDS = {
    "moving_line": "pipeline.moving_line.definition:MovingLine",
    "clips": "pipeline.clips.definition:Clips",
}

# Name of the file beside the shards in which a kind with sources keeps what it found in them.
SOURCES_NAME = "sources.jsonl"

_NAME = re.compile(r"[a-z][a-z0-9_]*")
_BLOCK_BYTES = 2**20
_BLOCK_EXAMPLES = 4096
_SAMPLE_EXAMPLES = 16


# Runs a Beam job: given a function that builds the transforms on a pipeline, a function that counts what is
# done, the total, and the name of what is counted.
JobRunner = Callable[[Callable[[Any], Any], Callable[[], int], int, str], None]


@dataclass(frozen=True)
class SourceEstimate:
    """An estimate of a data set, from some of its sources.

    Attributes:
        lines: what was found, as lines of text.
        num_examples: number of examples.
        num_bytes: size of the records.
        seconds: time of one core.
    """

    lines: list[str]
    num_examples: int
    num_bytes: int
    seconds: float


def setting(default: Any, help: str, *, type: Any = None, choices: Sequence[str] = ()) -> Any:  # noqa: A002
    """A dataclass field that is a setting of a kind.

    Args:
        default: value if the flag is not given.
        help: help text of the flag.
        type: converts the flag's text to the value; by default, the type of the field.
        choices: allowed values; by default, all.
    """
    return field(default=default, metadata={"help": help, "type": type, "choices": tuple(choices) or None})


class Definition(ABC):
    """The definition of one data set; a subclass is a kind of data set.

    Attributes:
        name: name of the kind: lower-case letters, digits and _. File names begin with it.
        title: name of the kind in printed lines; by default, ``name``.
        description: description in the TFDS metadata; by default, the class's docstring.
        version: version of the kind. Increase it with every change that makes other bytes of the same
            settings.
        format_version: version of the manifest's format; see `pipeline.dataset.manifest`.
        is_pure: whether the records depend on the settings alone. If so, verification makes every record
            again and compares the bytes. If not, generation writes the digests of the records to files
            beside the shards, and verification compares with these.
        examples_per_leaf: number of examples in a leaf; see `pipeline.dataset.content_digest`.
        palette: colours of pictures; see `pipeline.pictures.sequences.draw_sequences`.
        is_tfds: whether the records are laid out as TFDS reads them.
        sequence_keys: keys of the features by name, if records are ``tf.train.SequenceExample`` messages.
        derived: names of fields that are no flags: `prepare` fills them from the sources.
        places: names of settings that say where the sources are; no part of the data set's identity.
        sequences_per_shard: largest number of examples in a shard; None: chosen automatically.

    Raises:
        RequestError: if a setting is wrong; the message names its flag.
    """

    name: ClassVar[str]
    title: ClassVar[str] = ""
    description: ClassVar[str] = ""
    version: ClassVar[int] = 1
    format_version: ClassVar[int] = 3
    is_pure: ClassVar[bool] = True
    examples_per_leaf: ClassVar[int] = 1
    palette: ClassVar[Sequence[str] | None] = None
    is_tfds: ClassVar[bool] = True
    sequence_keys: ClassVar[Mapping[str, str]] = MappingProxyType({})
    derived: ClassVar[Sequence[str]] = ()
    places: ClassVar[Sequence[str]] = ()
    sequences_per_shard: int | None = None

    def __post_init__(self) -> None:
        """Check the numbers of examples and the size of shards; a whole number for a float becomes one."""
        for name in _float_fields(type(self)):
            if type(value := getattr(self, name)) is int:
                object.__setattr__(self, name, float(value))
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
        """The features of a record, by name. The first is the input, the first `ClassLabel` the target."""

    def example(self, split: str, index: int) -> Mapping[str, Any]:
        """Make example number ``index`` of a split, from 0.

        Returns:
            For every feature, by name, a value that its `Feature.encode` accepts.
        """
        raise NotImplementedError(f"{type(self).__name__} defines neither example nor blocks")

    @property
    def num_sequences(self) -> dict[str, int]:
        """Number of examples by split, in the order of the splits; by default, the settings ``num_SPLIT``."""
        return {name.removeprefix("num_"): getattr(self, name) for name in self.counts()}

    @classmethod
    def counts(cls) -> list[str]:
        """Names of the settings that decide only the number of examples; by default, ``num_SPLIT``."""
        names = {each.name for each in fields(cls)}  # type: ignore[arg-type]  # Kinds are dataclasses.
        return [name for name in ("num_train", "num_validation", "num_test") if name in names]

    def random(self, split: str, index: int) -> np.random.Generator:
        """A random generator for one example, seeded by the kind, its settings, the split and the number.

        The settings of `counts` and ``sequences_per_shard`` are not part of the seed. The generator's raw
        bits are the same with every version of NumPy; the numbers that its methods make of them may change.
        """
        excluded = (*self.counts(), "sequences_per_shard")
        settings = {name: value for name, value in self.to_json().items() if name not in excluded}
        identity = f"{self.name} {self.version}\0{sorted(settings.items())}\0{split}"
        key = int.from_bytes(hashlib.sha256(identity.encode()).digest()[:16], "little")
        return np.random.Generator(np.random.Philox(key=key, counter=index << 64))

    def libraries(self) -> dict[str, str]:
        """Versions, by name, of the libraries that decide the bytes of a record."""
        compressed = any(
            isinstance(each, Tensor) and each.encoding == ZLIB for each in self.features.values()
        )
        return {"numpy": np.__version__, **({"zlib": zlib.ZLIB_RUNTIME_VERSION} if compressed else {})}

    def blocks(self, split: str, first: int, count: int) -> Iterator[Block]:
        """Yield examples ``first`` .. ``first + count - 1`` of a split, in blocks of bounded size in bytes.

        Raises:
            ValueError: if an example does not have the features; the message names both.
        """
        payloads: list[bytes] = []
        statistics: list[Statistics] = []
        num_bytes = 0
        for index in range(first, first + count):
            example = self.example(split, index)
            try:
                payloads.append(encode(self.features, example))
            except ValueError as error:
                raise ValueError(f"example {index} of split {split}: {error}") from error
            statistics.append(self.count(example))
            num_bytes += len(payloads[-1])
            if len(payloads) == _BLOCK_EXAMPLES or num_bytes >= _BLOCK_BYTES or index == first + count - 1:
                yield RecordBlock(index + 1 - len(payloads), payloads, total(statistics))
                payloads, statistics, num_bytes = [], [], 0

    def block_of(self, first: int, payloads: Sequence[bytes]) -> Block:
        """A block of records that were read; called if the kind is not pure.

        Args:
            first: number of the first record's example in its split.
            payloads: the payloads of consecutive examples, at least one.

        Raises:
            ValueError: if a payload is not a record of this definition; the message gives the reason.
        """
        statistics = (self.count(self.decode(payload)) for payload in payloads)
        return RecordBlock(first, payloads, total(statistics))

    def content(self, payload: bytes) -> bytes:
        """The content of a record's example: its row of `Block.contents`, as bytes.

        Raises:
            ValueError: if the payload is not a record of this definition; the message gives the reason.
        """
        self.decode(payload)
        return content_of(payload)

    @cached_property
    def record_bytes(self) -> int:
        """Approximate size of a record, framing included; by default, the mean of the first records."""
        split, count = next(iter(self.num_sequences.items()))
        count = min(count, _SAMPLE_EXAMPLES)
        return max(1, sum(len(block.records()) for block in self.blocks(split, 0, count)) // count)

    @property
    def content_identity(self) -> dict[str, Any]:
        """What the content digest covers besides the examples, in JSON values; see `content_digest`.

        The manifest uses it for built-in kinds only, and the name for all others.
        """
        return {"dataset": self.name}

    def shards(self) -> list[Shard]:
        """The shards of the data set, split by split.

        Raises:
            RequestError: if a split has too many.
        """
        return plan_shards(self.name, self.num_sequences, self.record_bytes, self.sequences_per_shard)

    def count(self, example: Mapping[str, Any]) -> Statistics:
        """Statistics of one example."""
        return ExampleCounts.of(self.features, example)

    def statistics_from_json(self, document: Mapping[str, Any]) -> Statistics:
        """The inverse of `Statistics.to_json`.

        Raises:
            TypeError, LookupError, ValueError, AttributeError, OverflowError: if ``document`` is not a value
                that `Statistics.to_json` returns.
        """
        return ExampleCounts.from_json(document)

    def chi_squared_tests(self, split: str, statistics: Statistics) -> list[ChiSquaredTest]:
        """Tests of a split's statistics against the definition's probabilities; none by default."""
        return []

    def decode(self, payload: bytes) -> dict[str, Any]:
        """The example of a record: a value for every feature, by name.

        Raises:
            ValueError: if the payload is not a record of this definition; the message gives the reason.
        """
        return decode(self.features, payload)

    def frames(self, example: Mapping[str, Any]) -> np.ndarray[Any, Any]:
        """The frames that `pipeline.preview` draws; by default, the first video or tensor.

        Returns:
            uint8 of shape (T, H, W, C), C = 1 or 3; T is at least 1.

        Raises:
            RequestError: if that feature does not hold such frames.
        """
        for name, value in example.items():
            feature = self.features.get(name)  # None where `decode` makes more than is stored.
            if isinstance(feature, Video):
                raise RequestError(
                    f"{self.name}: feature {name} holds images; a method frames of the kind may decode them"
                )
            if not isinstance(feature, ClassLabel | Text):
                frames = np.asarray(value)
                is_video = frames.ndim == 4 and len(frames) and frames.shape[3] in (1, 3)
                if is_video and frames.dtype == np.uint8:
                    return frames
                found = f"{frames.dtype} of shape {frames.shape}"
                raise RequestError(
                    f"{self.name}: feature {name} is {found}, no video to draw: uint8 (T, H, W, 1 or 3)"
                )
        raise RequestError(f"{self.name}: has no video to draw")

    def caption(self, example: Mapping[str, Any]) -> str:
        """The text that `pipeline.preview` writes above an example; by default, the names of its classes."""
        labels = (
            feature.names[example[name]]
            for name, feature in self.features.items()
            if isinstance(feature, ClassLabel)
        )
        return ", ".join(labels)

    def source_name(self, example: Mapping[str, Any]) -> str:
        """Name of the clip, file or the like that an example is a part of; by default empty: it has none."""
        return ""

    def find_source(self, name: str) -> tuple[str, int, int]:
        """Where the examples of a source are; called on what `at` returned.

        Returns:
            The split, the number of the first example in it, and the number of examples.

        Raises:
            RequestError: if there is no such source, or none of the kind's examples has a name.
        """
        raise RequestError(f"--clip {name}: sequences of {self.name} have no names; give --first")

    def draw_statistics(self, splits: Mapping[str, Statistics], path: str) -> None:
        """Draw statistics into a picture; by default, bars of the counts by class and by length.

        Called on what `at` returned.

        Args:
            splits: statistics by split.
            path: path of the picture; see `pipeline.pictures.files.check_picture_path`.

        Raises:
            RequestError: if there is nothing to draw.
        """
        # Imported here, so that workers do not need Matplotlib.
        from pipeline.pictures.example_counts_picture import draw_example_counts

        draw_example_counts(splits, path)

    def to_json(self) -> dict[str, Any]:
        """The settings by name, as the manifest stores them; without `places`."""
        settings = asdict(self)  # type: ignore[call-overload]  # Kinds are dataclasses.
        return {name: value for name, value in settings.items() if name not in self.places}

    def requested(self) -> dict[str, Any]:
        """The settings that identify a request, before and after `prepare`: `to_json` without `derived`."""
        return {name: value for name, value in self.to_json().items() if name not in self.derived}

    def listed(self, output_dir: str) -> Self:
        """The definition with what a first look at the sources tells, before any work; by default, itself.

        Args:
            output_dir: directory of the data set to make.

        Raises:
            RequestError: if the sources cannot be used, or not for a data set in that directory.
        """
        return self

    def changed_sources(self, directory: str) -> str:
        """Say which sources differ from those of the data set in a directory; empty if that is not known.

        Called after `listed`.
        """
        return ""

    def prepare(self, directory: str, run_job: JobRunner) -> tuple[Self, bytes | None]:
        """Read the sources and fill the fields of `derived`; a kind without sources has nothing to do.

        Called again after an interruption, it must return the same and keep finished work, which may be
        kept in the work folder of the directory; its other content is not touched. Called after `listed`.

        Args:
            directory: directory of the data set to make.
            run_job: runs a Beam job.

        Returns:
            The definition, and the content of `SOURCES_NAME`; None if there is no such file.

        Raises:
            WorkError: if the sources cannot be used; the message names the first reason.
        """
        return self, None

    def at(self, directory: str, places: Mapping[str, str] | None = None) -> Self:
        """The definition of the data set in a directory, for kinds that read files there.

        Args:
            directory: directory of the data set, made or being made.
            places: values for settings of `places` that are not given.
        """
        return self

    def sources_summary(self) -> dict[str, Any]:
        """What the manifest says of the sources, in JSON values; called on a prepared definition."""
        return {}

    def summary_lines(self, sources: Mapping[str, Any]) -> list[str]:
        """What `pipeline.generate` prints of the sources, of what the manifest says of them."""
        return []

    def findings(
        self, run: Callable[..., Iterator[tuple[Any, Any]]] | None, allow_leaks: bool
    ) -> Iterator[str]:
        """Check the index of the sources, the splits and, on request, the sources of a finished data set.

        Args:
            run: runs a function for every item in worker processes, as `Pool.run` does, to read the sources;
                None: do not read them.
            allow_leaks: whether examples of one split may repeat in another.

        Yields:
            What is wrong, a line each.
        """
        return iter(())

    def locate(self, split: str, number: int, payload: bytes) -> str:
        """Say which example a damaged record holds, in words of the kind; empty by default.

        Args:
            split, number: the example.
            payload: the damaged payload; empty if it cannot be told.
        """
        return ""

    def estimate_sources(self) -> SourceEstimate | None:
        """An estimate of a data set whose sources have not been read; None for a kind without sources."""
        return None

    @classmethod
    def from_json(cls, settings: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`.

        Raises:
            TypeError, ValueError: if ``settings`` is not a value that `to_json` returns.
        """
        hints = get_type_hints(cls)
        if names := set(cls.places) & settings.keys():
            raise TypeError(f"{min(names)} is a place")
        for name, value in settings.items():
            if type(value) not in _types_of(hints.get(name)):  # `isinstance` would accept True as an int.
                raise TypeError(f"{name} is {value!r}")
        return cls(**settings)


def _types_of(annotation: Any) -> tuple[Any, ...]:
    """Types of the values that a setting of this annotation may have."""
    if get_origin(annotation) is Literal:
        return tuple(map(type, get_args(annotation)))
    parts = getattr(annotation, "__args__", (annotation,))
    return tuple(
        each for part in parts for each in (_types_of(part) if get_origin(part) is Literal else (part,))
    )


@cache
def _float_fields(kind: type[Definition]) -> list[str]:
    """Names of the settings that may be floats, but no whole numbers."""
    hints = get_type_hints(kind)
    allowed = {name: _types_of(hint) for name, hint in hints.items()}
    names = (each.name for each in fields(kind))  # type: ignore[arg-type]  # Kinds are dataclasses.
    return [name for name in names if float in allowed[name] and int not in allowed[name]]


def find_kind(dataset: str) -> type[Definition]:
    """The kind that a value of ``--dataset`` names.

    Args:
        dataset: a key of `KINDS`, or ``MODULE:NAME`` of a class in a module that Python can import.

    Raises:
        RequestError: if the module cannot be imported, or the class is not a kind.
    """
    module, _, name = KINDS.get(dataset, dataset).partition(":")
    if not (module and name):
        raise RequestError(
            f"--dataset {dataset}: give {', '.join(KINDS)}, or MODULE:NAME of a kind of your own"
        )
    try:
        kind = getattr(importlib.import_module(module), name)
    except Exception as error:  # A user's module may raise any exception.
        raise RequestError(
            f"--dataset {dataset}: cannot be imported ({type(error).__name__}: {one_line(error)});"
            " PYTHONPATH names folders of modules"
        ) from error
    if not (isinstance(kind, type) and issubclass(kind, Definition) and is_dataclass(kind)):
        raise RequestError(f"--dataset {dataset}: is no dataclass that derives from Definition")
    if not _NAME.fullmatch(getattr(kind, "name", "")):
        raise RequestError(f"--dataset {dataset}: give it a name of lower-case letters, digits and _")
    if kind.name in KINDS and reference_to(kind) != kind.name:
        raise RequestError(
            f"--dataset {dataset}: {kind.name} is the name of a built-in kind; give it another"
        )
    return kind


def reference_to(kind: type[Definition]) -> str:
    """The kind's reference: the value of ``--dataset`` with which `find_kind` returns it."""
    reference = f"{kind.__module__}:{kind.__qualname__}"
    return next((name for name, built_in in KINDS.items() if built_in == reference), reference)
