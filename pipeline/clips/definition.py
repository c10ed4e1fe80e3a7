"""The kind of data set of people's own clips: files of video and images."""

from __future__ import annotations

import hashlib
import importlib
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache
from typing import Any, Self

import numpy as np

from pipeline.clips.clip_reader import ClipReader
from pipeline.clips.decoder_process import Decoder
from pipeline.clips.frame_files import decode_frame
from pipeline.clips.frame_settings import MAX_PIXELS, MAX_SIDE, FrameSettings
from pipeline.clips.index import Entry, Index, checksum, load_index, read_index
from pipeline.clips.index_choices import FAIL, SKIP, TRIM, Rules, check_classes, empty_splits
from pipeline.clips.index_job import CACHE_NAME, Cache, cached_payloads, read_clips
from pipeline.clips.near_duplicates import find_pairs
from pipeline.clips.records import SEQUENCE_EXAMPLE, SEQUENCE_KEYS, TFDS, RecordFormat
from pipeline.clips.source_facts import SourceFacts, facts_lines
from pipeline.clips.sources import Listing, is_below, list_sources
from pipeline.clips.split_choice import SPLITS, choose_splits
from pipeline.clips.statistics import ClipStatistics
from pipeline.clips.versions import library_versions
from pipeline.command_line.arguments import non_negative_int, positive_int
from pipeline.command_line.errors import RequestError, WorkError
from pipeline.dataset.block import Block, RecordBlock
from pipeline.dataset.features import Feature
from pipeline.dataset.statistics import Statistics, total
from pipeline.definition import SOURCES_NAME, Definition, JobRunner, SourceEstimate, setting
from pipeline.storage import files
from pipeline.storage.canonical_json import json_sha256

_WORK_FOLDER = ".generation"
_BLOCK_BYTES = 2**20
_RECORD_OVERHEAD = 16  # TFRecord framing.
_MOST_PRINTED = 5
_MOST_PAIRS = 100  # Named in the manifest; all are counted.


@dataclass(frozen=True)
class Clips(Definition):
    """Clips of video files and still images, each cut into records of up to ``max_frames`` frames."""

    name = "clips"
    is_pure = False
    derived = (
        "source_files",
        "index_sha256",
        "classes",
        "has_captions",
        "num_records",
        "mean_bytes",
        "directory",
    )
    places = ("source", "root", "clip_timeout")

    source: str = setting("", "folder of a folder a class, or of train, validation and test; or a .csv")
    root: str = setting("", "folder that a .csv's paths are relative to (default: the .csv's)")
    fps: float = setting(8.0, "frames a second, chosen by presentation time")
    frame_size: str = setting("64", "of a stored frame, in pixels: a side, or WIDTHxHEIGHT")
    fit: str = setting("crop", "crop: fill the frame; pad: show all of it", choices=("crop", "pad"))
    channels: int = setting(3, "3: RGB; 1: gray")
    image_encoding: str = setting("jpeg", "of stored frames", choices=("jpeg", "png"))
    jpeg_quality: int = setting(90, "libjpeg's quality, 1..100")
    max_frames: int = setting(64, "most frames of a record; longer clips become several", type=positive_int)
    min_frames: int = setting(1, "a clip with fewer is bad", type=positive_int)
    splits: str = setting("80,10,10", "shares of train, validation, test, where the source gives no splits")
    group: str = setting("", "regular expression: clips with the same match in their path stay together")
    seed: int = setting(0, "decides the splits and the order of clips", type=non_negative_int)
    on_bad_clip: str = setting(
        FAIL, "skip: leave it out; trim: also use what is whole before damage", choices=(FAIL, SKIP, TRIM)
    )
    max_bad: str = setting("1%", "largest share of clips to skip or trim")
    allow_missing_classes: bool = setting(False, "a class may be missing from a split")
    allow_outside: bool = setting(False, "links and paths may lead out of the source")
    records: str = setting(
        TFDS,
        "tfds: as features.Video; sequence_example: for DMVR and the like",
        choices=(TFDS, SEQUENCE_EXAMPLE),
    )
    clip_timeout: int = setting(600, "seconds that decoding a clip may take", type=positive_int)
    sequences_per_shard: int | None = setting(None, "the most records in a shard", type=positive_int)
    source_files: str = ""
    index_sha256: str = ""
    classes: tuple[str, ...] = ()
    has_captions: bool = False
    num_records: Mapping[str, int] | None = None
    mean_bytes: int = 0
    directory: str = ""

    def __post_init__(self) -> None:
        """Check the settings."""
        super().__post_init__()
        if not 0 < self.fps <= 1000:
            raise RequestError(f"--fps {self.fps:g}: give a number above 0, up to 1000")
        _ = self.frame_settings
        if self.channels not in (1, 3):
            raise RequestError(f"--channels {self.channels}: give 3 or 1")
        if not 1 <= self.jpeg_quality <= 100:
            raise RequestError(f"--jpeg_quality {self.jpeg_quality}: give a number from 1 to 100")
        for name in ("fit", "image_encoding", "on_bad_clip", "records"):
            choices = self.__dataclass_fields__[name].metadata["choices"]
            if getattr(self, name) not in choices:
                raise RequestError(f"--{name} {getattr(self, name)}: give {' or '.join(choices)}")
        _ = self._rules
        try:
            re.compile(self.group)
        except re.error as error:
            raise RequestError(f"--group {self.group}: is no regular expression ({error})") from error

    @property
    def is_tfds(self) -> bool:  # type: ignore[override]  # A class variable of other kinds.
        """See `Definition`."""
        return self.records == TFDS

    @property
    def sequence_keys(self) -> Mapping[str, str]:  # type: ignore[override]  # A class variable of other kinds.
        """See `Definition`."""
        return {} if self.is_tfds else SEQUENCE_KEYS

    @property
    def description(self) -> str:  # type: ignore[override]  # A class variable of other kinds.
        """See `Definition`."""
        return (
            f"Clips of {len(self.classes)} classes, {self.fps:g} frames a second of {self.frame_size} pixels."
        )

    @property
    def frame_settings(self) -> FrameSettings:
        """How the frames of clips are made."""
        width, height = _parse_size(self.frame_size)
        return FrameSettings(
            Fraction(str(self.fps)),
            width,
            height,
            self.fit,
            self.channels,
            self.image_encoding,
            self.jpeg_quality,
            self.max_frames,
            timeout=self.clip_timeout,
        )

    @property
    def _rules(self) -> Rules:
        return Rules(
            self.on_bad_clip,
            _parse_share(self.max_bad),
            self.min_frames,
            _parse_splits(self.splits),
            self.seed,
            self.allow_missing_classes,
        )

    @property
    def _record_format(self) -> RecordFormat:
        settings = self.frame_settings
        shape = settings.height, settings.width, self.channels
        return RecordFormat(
            self.records, shape, self.image_encoding, self.fps, self.classes, self.has_captions
        )

    @property
    def features(self) -> Mapping[str, Feature]:
        """See `Definition.features`."""
        return self._record_format.features

    @property
    def num_sequences(self) -> dict[str, int]:
        """See `Definition.num_sequences`: numbers of records."""
        return dict(self.num_records or {})

    @property
    def record_bytes(self) -> int:
        """See `Definition.record_bytes`: the mean of all records."""
        return max(1, self.mean_bytes)

    def libraries(self) -> dict[str, str]:
        """See `Definition.libraries`."""
        return library_versions()

    def listing(self) -> Listing:
        """The clips of the source; see `pipeline.clips.sources.list_sources`."""
        if not self.source:
            raise RequestError("--source is missing: name a folder of classes of clips, or a .csv")
        return list_sources(self.source, self.root or None, self.group or None, self.allow_outside)

    def _same_listing(self) -> Listing:
        """The clips of the source, which must be those that `listed` found: they are what is requested.

        Raises:
            WorkError: if they are others.
        """
        listing = self.listing()
        if listing.digest != self.source_files:
            raise WorkError(
                f"{self.source}: has changed since this program started; run it again when nothing changes"
            )
        return listing

    def listed(self, output_dir: str) -> Self:
        """See `Definition.listed`.

        Raises:
            RequestError: see `listing`; or if a split must lack a class, or the directory is in the source.
        """
        listing = self.listing()
        is_folder = not self.source.lower().endswith(".csv")
        if is_folder and is_below(files.resolve(output_dir), files.resolve(self.source)):
            raise RequestError(
                f"--output_dir {output_dir}: lies in the source; name a directory outside of it"
            )
        labels = Counter(each.label for each in listing.sources if each.label is not None)
        listed = replace(
            self,
            source=files.absolute(self.source),
            root=files.absolute(self.root) if self.root else "",
            source_files=listing.digest,
            classes=tuple(sorted(labels)),
            has_captions=bool(listing.sources[0].captions),
        )
        listed._check_classes(listing)
        return listed

    def _check_classes(self, listing: Listing) -> None:
        """Check what the listing already tells: whether every class can be in every split."""
        if self.allow_missing_classes:
            return
        labels = {each.label or "" for each in listing.sources}
        if listing.sources[0].split is not None:
            classes = empty_splits({each.split or "" for each in listing.sources})
            for each in listing.sources:
                classes[each.split or ""].add(each.label or "")
            check_classes(classes, labels, RequestError, is_chosen=False)
            return
        is_grouped = listing.sources[0].group is not None
        groups: dict[str, list[str]] = defaultdict(list)
        for each in listing.sources:  # Parts of one file have equal content, so they will be one group.
            groups[each.path if each.group is None else each.group].append(each.label or "")
        numbers = Counter(label for found in groups.values() for label in set(found))
        fewest, splits = min(numbers, key=lambda label: numbers[label]), _parse_splits(self.splits)
        if numbers[fewest] < len(splits):
            unit = "groups" if is_grouped else "clips" if len(groups) == len(listing.sources) else "files"
            reason = "; parts of one file stay in one split" if unit == "files" else ""
            raise RequestError(
                f"--source {self.source}: {f'class {fewest} has ' if fewest else ''}{numbers[fewest]} {unit}"
                f" for {len(splits)} splits{reason}; add clips, give other --splits, as in 80,0,20, or add"
                " --allow_missing_classes"
            )
        if is_grouped:
            chosen, classes = choose_splits(groups, splits, self.seed), empty_splits(splits)
            for group, found in groups.items():
                classes[chosen[group]].update(found)
            check_classes(classes, labels, RequestError, is_chosen=True)

    def requested(self) -> dict[str, Any]:
        """See `Definition.requested`; the listing is part of a request, what is found in the clips is not."""
        return {**super().requested(), "source_files": self.source_files}

    def changed_sources(self, directory: str) -> str:
        """See `Definition.changed_sources`."""
        path = files.join(directory, SOURCES_NAME)
        if not files.file_exists(path):
            return ""
        before = {entry.source.name: entry.source for entry in Index(files.read_bytes(path), 0).entries()}
        after = {each.name: each for each in self.listing().sources}
        changes = []
        for name in sorted(before.keys() | after.keys()):
            if name not in before or name not in after:
                changes.append(f"{name} is {'new' if name in after else 'gone'}")
                continue
            one, two = before[name], after[name]
            # The index has those that were chosen where the source gives none.
            chosen: Any = {each: None for each in ("split", "group") if getattr(two, each) is None}
            if one.size != two.size:
                changes.append(f"{name} had {one.size} bytes, has {two.size}")
            elif replace(one, **chosen) != two:
                changes.append(f"{name} has another label, split, group or caption")
        more = f", and {len(changes) - _MOST_PRINTED} more" if len(changes) > _MOST_PRINTED else ""
        return ", ".join(changes[:_MOST_PRINTED]) + more

    def _cache(self, directory: str) -> Cache:
        settings = self.frame_settings.to_json()
        del settings["timeout"]
        identity = json_sha256(
            [
                self.version,
                settings,
                self._record_format.layout,
                self.classes,
                self.has_captions,
                self.libraries(),
            ]
        )
        return Cache(files.join(directory, _WORK_FOLDER, CACHE_NAME), identity)

    def _reader(self) -> ClipReader:
        root = self.root
        if not root and self.source.lower().endswith(".csv"):
            root = self.source.rpartition("/")[0] or "."
        return ClipReader(root or self.source, self.frame_settings, self._record_format)

    def prepare(self, directory: str, run_job: JobRunner) -> tuple[Self, bytes | None]:
        """See `Definition.prepare`: read every clip once, choose splits, and make the index."""
        importlib.import_module("av")  # Missing, it should be told before the work.
        listing = self._same_listing()
        found = read_clips(listing.sources, self._reader(), self._cache(directory), self.min_frames, run_job)
        entries = self._rules.apply(found)
        content = entries.to_bytes(listing.ignored)
        counts: Counter[str | None] = Counter()
        num_bytes = 0
        for entry in entries:
            counts[entry.source.split] += len(entry.records)
            num_bytes += entry.num_bytes
        prepared = replace(
            self,
            index_sha256=hashlib.sha256(content).hexdigest(),
            num_records={split: counts[split] for split in SPLITS if counts[split]},
            mean_bytes=num_bytes // max(1, counts.total()) + _RECORD_OVERHEAD,
        )
        return prepared, content

    def at(self, directory: str, places: Mapping[str, str] | None = None) -> Self:
        """See `Definition.at`."""
        located = replace(self, directory=directory)
        if self.source:  # A root belongs to its .csv: that of another one says nothing.
            return located
        known = places or {}
        return replace(located, source=known.get("source", ""), root=self.root or known.get("root", ""))

    @property
    def index(self) -> Index:
        """The index of the data set in the directory that `at` was given.

        Raises:
            WorkError: if it is missing or damaged.
        """
        return read_index(self.directory, self.index_sha256, self.seed)

    def blocks(self, split: str, first: int, count: int) -> Iterator[Block]:
        """See `Definition.blocks`: copied from the cache of the work folder, else decoded from the sources.

        Raises:
            WorkError: if a source is not the one that was indexed; the message names it.
        """
        cache, reader = self._cache(self.directory), self._reader()
        number, payloads, num_bytes = first, list[bytes](), 0
        with Decoder() as decoder:
            for entry, segment, segments in self.index.records(split, first, count):
                for payload in self._payloads(entry, segment, segments, cache, reader, decoder):
                    payloads.append(payload)
                    num_bytes += len(payload)
                    if num_bytes >= _BLOCK_BYTES:
                        yield self.block_of(number, payloads)
                        number, payloads, num_bytes = number + len(payloads), [], 0
        if payloads:
            yield self.block_of(number, payloads)

    def _payloads(
        self, entry: Entry, first: int, count: int, cache: Cache, reader: ClipReader, decoder: Decoder
    ) -> Iterator[bytes]:
        if changed := reader.check_unchanged(entry):
            raise WorkError(
                f"{files.join(reader.root, entry.source.path)}: {changed}; restore it, or generate the data"
                " set again into another directory"
            )
        given = 0
        for payload in cached_payloads(entry, cache, first, count):
            yield payload
            given += 1
        if given < count:
            yield from reader.payloads(entry, decoder, first + given, count - given)

    def block_of(self, first: int, payloads: Sequence[bytes]) -> Block:
        """See `Definition.block_of`; every image is decoded."""
        statistics, keys = list[Statistics](), []
        for payload in payloads:
            example = self.decode(payload)
            label = self.classes[example["label"]] if self.classes else ""
            statistics.append(ClipStatistics.of(label, int(example["segment"]), len(example["video"])))
            keys.append(hashlib.sha256(b"".join(example["video"])).digest())
        return RecordBlock(first, payloads, total(statistics), keys)

    def decode(self, payload: bytes) -> dict[str, Any]:
        """See `Definition.decode`."""
        example = self._record_format.decode(payload)
        if len(example["timestamp"]) != len(example["video"]):
            raise ValueError(f"{len(example['timestamp'])} timestamps for {len(example['video'])} frames")
        return example

    def content(self, payload: bytes) -> bytes:
        """See `Definition.content`; every image is decoded."""
        example = self.decode(payload)
        for place, image in enumerate(example["video"]):
            try:
                decode_frame(image, self._record_format.shape)
            except ValueError as error:
                raise ValueError(f"clip {example['clip']}, frame {place}: {error}") from error
        return hashlib.sha256(payload).digest()

    def frames(self, example: Mapping[str, Any]) -> np.ndarray[Any, Any]:
        """See `Definition.frames`."""
        return np.stack([decode_frame(image, self._record_format.shape) for image in example["video"]])

    def caption(self, example: Mapping[str, Any]) -> str:
        """See `Definition.caption`: class, source and captions."""
        label = [self.classes[example["label"]]] if self.classes else []
        return ", ".join([*label, example["clip"], *example.get("caption", ())])

    def source_name(self, example: Mapping[str, Any]) -> str:
        """See `Definition.source_name`: the clip's path, and the part of the file if it is one."""
        return str(example["clip"])

    def find_source(self, name: str) -> tuple[str, int, int]:
        """See `Definition.find_source`."""
        found = self.index.find(name)
        if found is None:
            known = next(iter(self.index.entries())).source.name
            raise RequestError(f"--clip {name}: no such clip; give a path below the source, as in {known}")
        entry, first = found
        if not entry.records:
            raise RequestError(f"--clip {name}: is not in the data set: {entry.reason}")
        assert entry.source.split is not None
        return entry.source.split, first, len(entry.records)

    def draw_statistics(self, splits: Mapping[str, Statistics], path: str) -> None:
        """See `Definition.draw_statistics`: classes by split, and what the index says of the sources."""
        # Imported here, so that workers do not need Matplotlib.
        from pipeline.clips.statistics_picture import draw_statistics

        draw_statistics(splits, SourceFacts.of(self.index.entries()), path)

    def statistics_from_json(self, document: Mapping[str, Any]) -> Statistics:
        """See `Definition.statistics_from_json`."""
        return ClipStatistics.from_json(document)

    @classmethod
    def from_json(cls, settings: Mapping[str, Any]) -> Self:
        """See `Definition.from_json`."""
        counts = settings["num_records"]
        if not isinstance(counts, Mapping) or any(type(count) is not int for count in counts.values()):
            raise TypeError(f"num_records is {counts!r}")
        plain = {name: value for name, value in settings.items() if name not in ("classes", "num_records")}
        made = super().from_json(plain)
        return replace(made, classes=tuple(map(str, settings["classes"])), num_records=dict(counts))

    def to_json(self) -> dict[str, Any]:
        """See `Definition.to_json`."""
        settings = {name: value for name, value in super().to_json().items() if name != "directory"}
        return {**settings, "classes": list(self.classes), "num_records": self.num_sequences}

    def sources_summary(self) -> dict[str, Any]:
        """See `Definition.sources_summary`: every clip that is not used whole, with its reason, and leaks."""
        entries, ignored = self.index.entries(), self.index.ignored()
        pairs = find_pairs(entries)
        facts = SourceFacts.of(entries)
        return {
            "clips": len(entries),
            "used": sum(bool(entry.records) for entry in entries),
            "seconds": round(sum(map(sum, facts.seconds.values())), 3),
            "facts": facts.to_json(),
            "bad": {entry.source.name: entry.reason for entry in entries if entry.reason},
            "trimmed": {entry.source.name: entry.damage for entry in entries if entry.damage},
            "ignored": dict(sorted(Counter(ignored.values()).items())),
            "same": [str(pair) for pair in pairs[:_MOST_PAIRS]],
            "num_same": len(pairs),
            "num_same_across": sum(pair.crosses for pair in pairs),
        }

    def summary_lines(self, sources: Mapping[str, Any]) -> list[str]:
        """See `Definition.summary_lines`."""
        lines = [f"  {sources['used']:,} of {sources['clips']:,} clips, {sources['seconds']:,.1f} s of them"]
        lines += self._class_lines(10)
        lines += facts_lines(sources["facts"])
        for what in ("bad", "trimmed"):
            named = sources[what]
            lines += [f"  {what:<10} {name}: {named[name]}" for name in list(named)[:_MOST_PRINTED]]
            if len(named) > _MOST_PRINTED:
                lines.append(f"  {what:<10} and {len(named) - _MOST_PRINTED:,} more; the manifest names all")
        lines += [f"  ignored    {count:,} files: {reason}" for reason, count in sources["ignored"].items()]
        lines += [f"  same       {pair}" for pair in sources["same"][:_MOST_PRINTED]]
        if sources["num_same"] > _MOST_PRINTED:
            lines.append(f"  same       {sources['num_same']:,} pairs of clips in all")
        if sources["num_same_across"]:
            lines.append(f"  leaks      {sources['num_same_across']:,} pairs are in two splits")
        return lines

    def findings(
        self, run: Callable[..., Iterator[tuple[Any, Any]]] | None, allow_leaks: bool
    ) -> Iterator[str]:
        """See `Definition.findings`."""
        try:
            index = load_index(self.directory, self.index_sha256, self.seed)
            used = [entry for entry in index.entries() if entry.records]
        except WorkError as error:
            yield str(error)
            return
        if not allow_leaks:
            for pair in find_pairs(used):
                if pair.crosses:
                    yield f"{pair}; allow it with --allow_leaks"
        if run is not None:
            if not self.source:
                raise RequestError("--against_sources: the manifest names no source; give --source")
            reader = self._reader()
            if not files.directory_exists(reader.root):
                raise RequestError(
                    f"--against_sources: no such folder {reader.root}; say where the sources are with"
                    " --source, and of a .csv also with --root"
                )
            for entry, reason in run(_source_problem, used, reader):
                if reason:
                    yield f"{files.join(reader.root, entry.source.path)}: {reason}"

    def locate(self, split: str, number: int, payload: bytes) -> str:
        """See `Definition.locate`: the clip, and its frames whose images are not those of the index."""
        try:
            ((entry, segment, _),) = self.index.records(split, number, 1)
        except WorkError:
            return ""
        clip, first = f"clip {entry.source.name}", segment * self.max_frames
        try:
            images = self._record_format.decode(payload)["video"]
        except ValueError:
            return f"{clip}, frames from {first}"
        known = entry.checksums[segment]
        wrong = [
            first + place
            for place, found in enumerate(map(checksum, images))
            if found not in known[8 * place : 8 * place + 8]
        ]
        return f"{clip}, frame {', '.join(map(str, wrong))}" if wrong else f"{clip}, no frame of it"

    def estimate_sources(self) -> SourceEstimate | None:
        """See `Definition.estimate_sources`: some clips, spread over the listing, are decoded."""
        from pipeline.clips.estimate import estimate

        found = estimate(self._same_listing(), self._reader(), self.on_bad_clip == FAIL)
        return replace(found, lines=[*self._class_lines(12), *found.lines])

    def _class_lines(self, width: int) -> list[str]:
        """Number and first names of the classes, if there are any: wrongly laid out folders show here."""
        if not self.classes:
            return []
        more = f" and {len(self.classes) - _MOST_PRINTED:,} more" if len(self.classes) > _MOST_PRINTED else ""
        only = "; a single class leaves nothing to tell apart" if len(self.classes) == 1 else ""
        named = ", ".join(self.classes[:_MOST_PRINTED])
        return [f"  {'classes':<{width}} {len(self.classes):,}: {named}{more}{only}"]


@cache
def _decoder() -> Decoder:
    """The decoding process of this worker process; it ends with it."""
    return Decoder()


def _source_problem(entry: Entry, reader: ClipReader) -> str:
    """What is wrong with a clip's source, compared with the index; empty if nothing is."""
    return reader.problem(entry, _decoder())


def _parse_size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d{1,5})(?:x(\d{1,5}))?", text)
    width, height = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
    if not (1 <= width <= MAX_SIDE and 1 <= height <= MAX_SIDE):
        raise RequestError(
            f"--frame_size {text}: give a side in pixels, as in 64, or WIDTHxHEIGHT, as in 96x128"
        )
    if width * height > MAX_PIXELS:
        raise RequestError(f"--frame_size {text}: give at most {MAX_PIXELS:,} pixels, as many as are decoded")
    return width, height


def _parse_share(text: str) -> float:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)%", text)
    if match is None or float(match[1]) > 100:
        raise RequestError(f"--max_bad {text}: give a share, as in 1%")
    return float(match[1]) / 100


def _parse_splits(text: str) -> dict[str, int]:
    parts = text.split(",")
    if len(parts) != 3 or not all(part.strip().isdecimal() for part in parts) or not int(parts[0]):
        raise RequestError(f"--splits {text}: give shares of train, validation and test, as in 80,10,10")
    return {split: int(part) for split, part in zip(SPLITS, parts, strict=True) if int(part)}
