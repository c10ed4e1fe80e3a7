"""Where the time of every stage of clips goes; see `benchmarks.breakdowns`.

Limits are those of the libraries' own code: the same work in as few calls as can be, with nothing done for
every frame besides.
"""

from __future__ import annotations

import hashlib
import io
import math
import statistics
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import av
import numpy as np
import tensorflow as tf
from av.video.reformatter import VideoReformatter
from PIL import Image

from benchmarks.breakdowns.measuring import Limits, figures, gradients, seconds_a_call, seconds_a_pass
from benchmarks.clip_data import FPS, LONG_FRAMES, digits_data_set, digits_jobs, long_clips
from benchmarks.jobs import seconds_of
from benchmarks.step_needs import clip_training_operations
from benchmarks.trainers import READERS, Ours, train_files
from pipeline.clips.clip_reader import digest
from pipeline.clips.decoder_process import Segment, decode_clip
from pipeline.clips.decoding import Clip, decode_video
from pipeline.clips.definition import Clips
from pipeline.clips.fitting import EXACT, FrameFitter
from pipeline.clips.frame_files import Looks, encode_frame, encode_picture
from pipeline.clips.index import checksum
from pipeline.clips.records import RecordFormat
from pipeline.clips.sampling import Sampler, chosen, end_of
from pipeline.clips.sources import Source
from pipeline.dataset.features import Video
from pipeline.dataset.reader import Dataset
from pipeline.generate import generate
from pipeline.storage.tfrecord import frame_record
from trainer.input.feeds import Part, training_part
from trainer.input.frame_records import FrameRecords, decoded_image
from trainer.input.frame_view import FrameView
from trainer.training.settings import TrainingSettings

_WINDOW, _BATCH_SIZE = 16, 32
_FEW_STEPS, _STEPS = 2, 10
_PASSES = 3
_FEWEST_DIGITS = 80
_PICTURES = 8  # That libjpeg decodes.


@dataclass(frozen=True)
class Folder:
    """A folder of clips of one length, and how its data set is made.

    Attributes:
        name: of the stage.
        few, many: sources of some clips, and of more.
        counts: how many these have.
        side: of a stored frame.
        max_frames: of a record, those of a whole clip.
    """

    name: str
    few: Path
    many: Path
    counts: tuple[int, int]
    side: int
    max_frames: int

    @property
    def path(self) -> str:
        """One of the clips."""
        return str(min(self.many.rglob("*.mp4")))

    def definition(self, source: Path) -> Clips:
        """The data set of one of the sources."""
        return Clips(
            source=str(source),
            fps=float(FPS),
            frame_size=str(self.side),
            max_frames=self.max_frames,
            allow_missing_classes=True,
        )


def large_clips(directory: Path, count: int) -> Folder:
    """Clips of 10 s."""
    counts = max(2, count // 4), count
    few, many = (long_clips(directory, each) for each in counts)
    return Folder("large clips to shards: 10 s, 640x272", few, many, counts, 128, LONG_FRAMES)


def small_clips(directory: Path, count: int) -> Folder:
    """Clips of `examples.moving_digits`, more than the fewest that it makes."""
    counts = _FEWEST_DIGITS, count
    for each in counts:
        if not (directory / f"digits-{each}-0").is_dir():
            seconds_of(digits_jobs(directory, each, 0, 3)[1][0])
    few, many = (directory / f"digits-{each}-0" for each in counts)
    return Folder("small clips to shards: 2 s, 64x64", few, many, counts, 64, _WINDOW)


def to_shards(folder: Folder) -> dict[str, Any]:
    """Parts of a clip's way into a shard; and whole jobs, but for what is done once."""
    definition = folder.definition(folder.many)
    settings, path = definition.frame_settings, folder.path
    kept = _kept_frames(path)
    fitter = FrameFitter(settings)
    images = [fitter.fit(frame) for frame in kept]
    pictures = [Image.fromarray(image) for image in images]
    (segment,) = (part for part in decode_clip(path, settings, None, None) if isinstance(part, Segment))
    shape = settings.height, settings.width, settings.channels
    record_format = RecordFormat(definition.records, shape, settings.encoding, definition.fps, ("a",), False)
    source = Source(Path(path).name, 0, "a", "train", "")
    prepared = Clips(source="", frame_size=definition.frame_size, classes=("a",))
    payload = record_format.encode(record_format.example(source, 0, segment))

    def encode() -> None:
        for image in images:
            encode_picture(Image.fromarray(image), settings.encoding, settings.jpeg_quality)

    def look() -> None:
        looks = Looks()
        for picture in pictures:
            looks.add(picture)
        looks.hashes()

    def record() -> None:
        found = record_format.encode(record_format.example(source, 0, segment))
        hashlib.sha256(found)
        [checksum(image) for image in segment.frames]
        frame_record(found)

    def block() -> None:
        found = prepared.block_of(0, [payload])
        hashlib.sha256(found.records())

    fitting = seconds_a_call(lambda: [fitter.fit(frame) for frame in kept])
    decoding = seconds_a_call(lambda: [None for _ in decode_video(Clip(path), settings)])
    parts = {
        "finding the frames to keep, decoding": decoding - fitting,
        "scaling, as RGB, and cutting": fitting,
        "pictures as JPEG": seconds_a_call(encode),
        "what the clip looks like, for duplicates": seconds_a_call(look),
        "digest of the source, twice": 2 * seconds_a_call(lambda: digest(path)),
        "the record, its checksums and digests": seconds_a_call(record),
        "the record read again: parsed, counted, digests": seconds_a_call(block),
    }
    needed = {
        "libav's decoder without the frames that no kept one needs": seconds_a_call(
            lambda: _decode(path, {frame.pts for frame in kept})
        ),
        "swscale to all of a kept frame": _scaling(kept, folder.side),
        f"libjpeg on the {len(images)} as one picture": _encoding(images, settings.jpeg_quality),
    }
    why = ", ".join(f"{name} {1e6 * taken:,.0f}" for name, taken in needed.items())
    return figures(folder.name, parts, _whole_jobs(folder), sum(needed.values()), why, "clips")


def _whole_jobs(folder: Folder) -> float:
    """Seconds a clip: the difference of two jobs, so that what is done once is not in it."""
    seconds = []
    # The first one imports Beam.
    for source in (folder.few, folder.few, folder.many):
        with TemporaryDirectory(dir=source.parent) as output:
            start = perf_counter()
            generate(folder.definition(source), f"{output}/data", direct_num_workers=1)
            seconds.append(perf_counter() - start)
    few, many = folder.counts
    return (seconds[2] - seconds[1]) / (many - few)


def _kept_frames(path: str) -> list[Any]:
    """The frames of a clip that are stored, as they are decoded."""
    with av.open(path) as container:
        stream = container.streams.video[0]
        frames = list(container.decode(stream))
        assert stream.time_base is not None
        times = [(frame.pts - frames[0].pts) * stream.time_base for frame in frames]
    shown = chosen(times, end_of(times[-2], times[-1]), Sampler(Fraction(FPS)))
    return [frame for frame, numbers in zip(frames, shown, strict=True) if numbers]


def _decode(path: str, kept: set[int]) -> None:
    """Decode a clip as far as the kept frames need it, and do nothing with the frames."""
    with av.open(path) as container:
        stream = container.streams.video[0]
        decoder: Any = stream.codec_context
        decoder.thread_count, decoder.thread_type = 1, "NONE"
        for packet in container.demux(stream):
            decoder.skip_frame = "DEFAULT" if not packet.size or packet.pts in kept else "NONREF"
            decoder.decode(packet if packet.size else None)


def _scaling(frames: list[Any], side: int) -> float:
    """Seconds that swscale needs for frames, whose shorter side becomes ``side``."""
    scale = side / min(frames[0].width, frames[0].height)
    size = round(frames[0].width * scale), round(frames[0].height * scale)
    scaler = VideoReformatter()
    given = (*size, "gbrp")
    return seconds_a_call(
        lambda: [scaler.reformat(frame, *given, interpolation=EXACT, threads=1) for frame in frames]
    )


def _encoding(images: list[Any], quality: int) -> float:
    picture = Image.fromarray(np.concatenate(images))
    return seconds_a_call(lambda: picture.save(io.BytesIO(), "JPEG", quality=quality))


def reading(directory: Path, limits: Limits, count: int) -> dict[str, Any]:
    """Shuffled windows, each a whole clip; parts are pipelines on one thread, or differences of two."""
    data = str(digits_data_set(directory, count))
    files = train_files(data).shown(FrameView(_WINDOW, is_random=True))
    kind, video = FrameRecords(files.spec, FrameView(_WINDOW, is_random=True)), files.spec.features["video"]
    assert isinstance(video, Video)
    chunks = kind.chunks(
        tf.constant(files.paths),
        tf.constant(files.counts, tf.int64),
        tf.constant(0, tf.int64),
        kind.chunk_size,
    )
    rows = tf.concat(list(chunks), 0)
    clips = len(rows)

    def shuffle() -> Any:
        draws = tf.random.uniform([clips], maxval=2**62, dtype=tf.int64)
        return tf.gather(rows, tf.argsort(draws, stable=True))

    def decode(images: tf.Tensor) -> tf.Tensor:
        images = tf.unstack(images, _WINDOW)
        return tf.stack([decoded_image(image, video.shape, video.encoding) for image in images])

    dataset = Dataset.open(data)
    stored = [
        dataset.manifest.definition.decode(payload)["video"] for payload in dataset.read("train", 0, clips)
    ]
    messages = tf.data.Dataset.from_tensors(rows)
    decoding = _passing(tf.data.Dataset.from_tensors(stored).unbatch().map(decode))
    windows = _passing(messages.unbatch().enumerate().map(lambda number, row: kind.window(row, number)))
    parts = {
        "records from files, every byte checked": _passing(chunks) / clips,
        "shuffling a window of records": seconds_a_call(shuffle) / clips,
        "records parsed, frames chosen": (windows - decoding) / clips,
        "JPEG to pixels": decoding / clips,
        "batches": (_passing(kind.batches(messages, _BATCH_SIZE)) - windows) / clips,
    }
    settings = TrainingSettings(batch_size=_BATCH_SIZE, num_frames=_WINDOW)
    read = training_part(files, settings, min(READERS, len(files.paths)), 0, Part(0, 1))
    steps = _PASSES * clips // _BATCH_SIZE
    whole = seconds_a_pass(read.take(steps + 1)) / (steps * _BATCH_SIZE)
    record, pixels = files.num_bytes / files.num_sequences, _WINDOW * math.prod(video.shape)
    decoder = statistics.mean(_decoding(decode(images)) for images in stored[:_PICTURES])
    limit = decoder + record / limits["crc32c"] + (2 * record + pixels) / limits["copy"]
    why = (
        f"libjpeg on a window as one picture {1e6 * decoder:,.0f}, {record:,.0f} bytes of CRC-32C, copied"
        f" from the file and shuffled, and {pixels:,} bytes of pixels copied"
    )
    return figures(f"windows from clips: {_WINDOW} frames, 64x64", parts, whole, limit, why, "clips")


def _passing(made: tf.data.Dataset) -> float:
    """Seconds of a pass within one graph: handing a window to Python takes as long as reading it."""
    options = tf.data.Options()
    options.autotune.enabled = False
    untuned = made.with_options(options)
    return seconds_a_call(tf.function(lambda: untuned.reduce(np.int64(0), lambda count, *_: count + 1)))


def _decoding(frames: tf.Tensor) -> float:
    """Seconds that TensorFlow's libjpeg needs for frames one below the other."""
    picture = tf.concat(tf.unstack(frames), 0)
    image = encode_frame(picture.numpy(), "jpeg", Clips.jpeg_quality)
    return seconds_a_call(lambda: decoded_image(tf.constant(image), picture.shape, "jpeg"), 0.1)


def training(directory: Path, limits: Limits, count: int) -> dict[str, Any]:
    """Forward, backward and update of the model of `make demo-clips` as graphs of their own; then `fit`."""
    size = _BATCH_SIZE
    ours = Ours(str(digits_data_set(directory, count, channels=1)), size, "float32", "cpu")
    model, classifier = ours.model.sequence_model, ours.model.classifier
    encoder = classifier.get_layer("encoder")
    features, labels = ours.batch()
    variables = model.trainable_variables

    def loss() -> Any:
        return model.compute_loss(x=features, y=labels, y_pred=model(features, training=True))

    def encoded() -> Any:
        return tf.reduce_sum(encoder(features["frames"], training=True))

    def scaled() -> Any:
        return encoder.encoder.get_layer("rescaling")(features["frames"])

    every, own = (tuple(each.value for each in given) for given in (variables, encoder.trainable_variables))
    found = gradients(loss, every)
    update = tf.function(lambda: model.optimizer.apply(found, variables))
    forward, encoding, scaling = (
        seconds_a_call(tf.function(function)) / size for function in (loss, encoded, scaled)
    )
    both = seconds_a_call(lambda: gradients(loss, every)) / size
    encoding_both = seconds_a_call(lambda: gradients(encoded, own)) / size
    parts = {
        "reading": seconds_a_pass(ours.batches(0).take(_STEPS)) / (_STEPS - 1) / size,
        "forward: pixels as numbers": scaling,
        "forward: the encoder": encoding - scaling,
        "forward: LSTM and head": forward - encoding,
        "backward: the encoder": encoding_both - encoding,
        "backward: LSTM and head": both - encoding_both - (forward - encoding),
        "optimizer": seconds_a_call(update) / size,
    }
    ours.train(_FEW_STEPS)
    # The difference of two lengths: what is done once at a training's start is not in it.
    few, many = (seconds_a_call(partial(ours.train, steps), 3.0) for steps in (_FEW_STEPS, _STEPS))
    whole = (many - few) / (_STEPS - _FEW_STEPS) / size
    needed = clip_training_operations(classifier, _WINDOW)
    why = f"{needed / 1e6:.0f} million operations in matrix products, forward and twice backward"
    limit = needed / limits["matrix_product"]
    return figures(f"training on clips, batches of {size}, 64x64, gray", parts, whole, limit, why, "clips")
