"""Records of frames to windows: of every example only the frames that are shown are decoded.

Records stay as they are stored until the windows of a batch are made, each by one call: parse, choose,
decode, change. The frames of a window are decoded by operations side by side in one graph, which are quicker
than a loop.

Features: ``frames`` uint8 (batch, num_frames, H, W, C) and ``length`` int32 (batch,), how many are real.
With names also ``clip`` and ``group``, string (batch,), empty where there is none, ``stored_length`` int32
(batch,), frames of the record, and, where there are any, ``caption`` string (batch,), captions a line each.
Labels: as `trainer.input.records.Records.batches` says.

With a vocabulary, labels are the tokens of a caption, int32 (batch, L), and the features have ``words``, the
tokens before each; see `model.captions`.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from PIL import Image

from pipeline.dataset.features import Tensor, Text, Video, decode
from pipeline.storage.tf_example import decode_sequence_example
from pipeline.workers.cores import usable_cores
from trainer.distributed.device_errors import library_message
from trainer.input.dataset_spec import CAPTION, DatasetSpec
from trainer.input.frame_view import FrameView
from trainer.input.records import ExampleRecords, Numbering, stored_array, stored_schema
from trainer.input.vocabulary import input_tokens

_NAMES = ("clip", "group")


class FrameRecords(ExampleRecords):
    """Reads windows of frames.

    Args:
        spec: of a data set whose input has frames; see `DatasetSpec.frame_shape`.
        view: which frames, and how they are changed.
    """

    def __init__(self, spec: DatasetSpec, view: FrameView) -> None:
        super().__init__(spec)
        self._view = view
        self._input = spec.features[spec.input]
        texts = {name: each for name, each in spec.features.items() if isinstance(each, Text)}
        self._names = [name for name in _NAMES if name in texts and not texts[name].is_list]

    def batches(
        self,
        chunks: tf.data.Dataset,
        batch_size: int,
        *,
        drop_remainder: bool = False,
        numbering: Numbering | None = None,
    ) -> tf.data.Dataset:
        """See `Records.batches`."""
        first, stride = (numbering.first, numbering.stride) if numbering else (0, batch_size)

        def window(index: tf.Tensor, message: tf.Tensor) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
            return self.window(message, first + index // batch_size * stride + index % batch_size)

        windows = chunks.unbatch().enumerate().map(window, usable_cores())
        return windows.batch(batch_size, drop_remainder).prefetch(2)

    def check(self, payload: bytes) -> None:
        """See `Records.check`: every frame is decoded."""
        spec = self._spec
        if spec.keys:
            steps = decode_sequence_example(payload)[1].get(spec.keys[spec.input], [])
            frames: Sequence[Any] = [image for step in steps for image in step]
        else:
            frames = decode(spec.features, payload)[spec.input]
        if not len(frames):
            raise ValueError("has no frames")
        if isinstance(self._input, Video):
            for place, image in enumerate(frames):
                try:
                    decoded_image(tf.constant(image), self._input.shape, self._input.encoding)
                except (tf.errors.OpError, ValueError) as error:
                    raise ValueError(f"frame {place} cannot be decoded ({library_message(error)})") from error

    def window(self, message: tf.Tensor, number: tf.Tensor) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
        """The features and the label of a record, as the module's docstring says, but without the batch axis.

        Args:
            message: of the record, string ().
            number: of the example in the run, int64 ().
        """
        stored = self._parsed(message)
        frames, length, stored_length = self._frames(stored[self._spec.input], number)
        features = {"frames": self._view.change(frames, number), "length": length}
        if self._view.has_names:
            features |= {name: stored[name] if name in self._names else tf.constant("") for name in _NAMES}
            features["stored_length"] = stored_length
            if self._spec.has_captions:
                features[CAPTION] = tf.strings.reduce_join(_in_one_line(stored[CAPTION]), separator="\n")
        if self._view.vocabulary is not None:
            caption = self._view.choose_caption(stored[CAPTION], number)
            tokens = self._view.vocabulary.tokens_in_graph(caption[None])
            return {**features, "words": input_tokens(tokens)[0]}, tokens[0]
        target = self._spec.target
        label = tf.zeros([0]) if target is None else tf.cast(stored[target], tf.float32)[None]
        return features, label

    def _parsed(self, message: tf.Tensor) -> dict[str, tf.Tensor]:
        """The features that are needed, by name."""
        spec = self._spec
        images = tf.io.FixedLenSequenceFeature([], tf.string, allow_missing=True)
        frames = stored_schema(self._input) if isinstance(self._input, Tensor) else images
        context: dict[str, Any] = {}
        if spec.target is not None:
            context[spec.target] = tf.io.FixedLenFeature([], tf.int64)
        if self._view.has_names:
            context |= {name: tf.io.FixedLenFeature([], tf.string) for name in self._names}
        if self._view.vocabulary is not None or (self._view.has_names and spec.has_captions):
            context[CAPTION] = tf.io.RaggedFeature(tf.string)
        if not spec.keys:
            parsed: dict[str, tf.Tensor] = tf.io.parse_single_example(
                message, {spec.input: frames, **context}
            )
            return parsed
        found, lists = tf.io.parse_single_sequence_example(
            message,
            {spec.keys[name]: feature for name, feature in context.items()},
            {spec.keys[spec.input]: tf.io.FixedLenSequenceFeature([], tf.string)},
        )
        found |= lists
        return {name: found[spec.keys[name]] for name in (spec.input, *context)}

    def _frames(self, stored: tf.Tensor, number: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Chosen frames, uint8 (num_frames, H, W, C), how many are real, and how many are stored."""
        view, video = self._view, self._input
        if isinstance(video, Tensor):
            every = stored_array(video, stored)
            stored_length = tf.shape(every)[0]
            indices, length = view.choose(stored_length, number)
            frames = tf.gather(every, indices)
            frames *= tf.cast(tf.sequence_mask(length, view.num_frames), tf.uint8)[:, None, None, None]
            return tf.ensure_shape(frames, [view.num_frames, *self._spec.frame_shape]), length, stored_length
        assert isinstance(video, Video)

        def decoded(image: tf.Tensor) -> tf.Tensor:
            return decoded_image(image, video.shape, video.encoding)

        stored_length = tf.size(stored)
        indices, length = view.choose(stored_length, number)
        if view.is_single:
            repeated = tf.repeat(decoded(stored[indices[0]])[None], view.num_frames, axis=0)
            is_real = tf.cast(tf.sequence_mask(length, view.num_frames), tf.uint8)
            return repeated * is_real[:, None, None, None], length, stored_length
        black = tf.constant(_black(video))
        images = tf.where(tf.sequence_mask(length, view.num_frames), tf.gather(stored, indices), black)
        return (
            tf.stack([decoded(image) for image in tf.unstack(images, view.num_frames)]),
            length,
            stored_length,
        )


def stored_labels(spec: DatasetSpec, paths: Sequence[str]) -> tf.data.Dataset:
    """Numbers of the classes of all records of shards, int64 (), without their frames.

    Args:
        spec: of a data set with a target.
        paths: of the shards.
    """
    target = spec.target
    assert target is not None
    key = spec.keys.get(target, target)
    schema = {key: tf.io.FixedLenFeature([], tf.int64)}

    def label(message: tf.Tensor) -> tf.Tensor:
        if spec.keys:
            return tf.io.parse_single_sequence_example(message, schema)[0][key]
        return tf.io.parse_single_example(message, schema)[key]

    return tf.data.TFRecordDataset(list(paths)).map(label, usable_cores())


def _in_one_line(texts: tf.Tensor) -> tf.Tensor:
    return tf.strings.strip(tf.strings.regex_replace(texts, r"\s+", " "))


def decoded_image(image: tf.Tensor, shape: tuple[int, int, int], encoding: str) -> tf.Tensor:
    """A stored frame, uint8 of ``shape``, with the arithmetic of Pillow.

    Args:
        image: a JPEG or PNG, string ().
        shape: (height, width, channels).
        encoding: "jpeg" or "png".
    """
    if encoding == "jpeg":
        frame = tf.io.decode_jpeg(image, shape[2], dct_method="INTEGER_ACCURATE")
    else:
        frame = tf.io.decode_png(image, shape[2])
    return tf.ensure_shape(frame, shape)


def _black(video: Video) -> bytes:
    """A stored black frame: padding, which is quicker to decode than a frame is to leave out."""
    height, width, channels = video.shape
    stream = io.BytesIO()
    pixels = np.zeros((height, width, channels)[: 3 if channels == 3 else 2], np.uint8)
    Image.fromarray(pixels).save(stream, video.encoding)
    return stream.getvalue()
