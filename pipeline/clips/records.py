"""The records of clips, as TFDS stores them or as ``tf.train.SequenceExample``."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.clips.decoder_process import Segment
from pipeline.clips.sources import Source
from pipeline.dataset.features import ClassLabel, Feature, Tensor, Text, Video, decode, encode
from pipeline.storage.tf_example import decode_sequence_example, encode_sequence_example

TFDS, SEQUENCE_EXAMPLE = "tfds", "sequence_example"

# Keys of features in a ``tf.train.SequenceExample``.
SEQUENCE_KEYS = {
    "video": "image/encoded",
    "label": "clip/label/index",
    "clip": "clip/media_id",
    "segment": "clip/segment",
    "timestamp": "image/timestamp",
    "group": "clip/group",
    "caption": "caption/string",
}

# The end of the name of a part of a clip; see `pipeline.clips.sources.Source.name`.
_PART = re.compile(r"#[0-9.]+-[0-9.]*$")


@dataclass(frozen=True)
class RecordFormat:
    """How a segment of a clip becomes a record.

    Attributes:
        layout: `TFDS` or `SEQUENCE_EXAMPLE`.
        shape: (height, width, channels) of a frame.
        encoding: "jpeg" or "png".
        fps: frames a second.
        classes: names of the classes; empty if the clips have no labels.
        has_captions: whether there are captions.
    """

    layout: str
    shape: tuple[int, int, int]
    encoding: str
    fps: float
    classes: tuple[str, ...]
    has_captions: bool

    @property
    def features(self) -> dict[str, Feature]:
        """The features of an example, by name."""
        features: dict[str, Feature] = {"video": Video(self.shape, self.encoding)}
        if self.classes:
            features["label"] = ClassLabel(self.classes)
        features |= {
            "clip": Text(),
            "segment": Tensor("int64", (), "none"),
            "timestamp": Tensor("int64", (None,), "none"),
            "group": Text(),
        }
        return {**features, **({"caption": Text(is_list=True)} if self.has_captions else {})}

    def example(self, source: Source, number: int, segment: Segment) -> dict[str, Any]:
        """The example of a clip's segment of this number."""
        example: dict[str, Any] = {
            "video": segment.frames,
            "clip": source.name,
            "segment": np.int64(number),
            "timestamp": np.array(segment.timestamps, np.int64),
            "group": source.group,
        }
        if self.classes:
            example["label"] = self.classes.index(source.label or "")
        if self.has_captions:
            example["caption"] = source.captions
        return example

    def encode(self, example: Mapping[str, Any]) -> bytes:
        """The payload of an example's record."""
        if self.layout == TFDS:
            return encode(self.features, example)
        context, lists = self._sequence(example)
        return encode_sequence_example(context, lists)

    def decode(self, payload: bytes) -> dict[str, Any]:
        """The inverse of `encode`.

        Raises:
            ValueError: if the payload is not such a record; the message gives the reason.
        """
        if self.layout == TFDS:
            return decode(self.features, payload)
        context, lists = decode_sequence_example(payload)
        try:
            example: dict[str, Any] = {
                "video": [frame for (frame,) in lists["image/encoded"]],
                "clip": _text(context["clip/media_id"][0]),
                "segment": np.int64(context["clip/segment"][0]),
                "timestamp": np.array([stamp for (stamp,) in lists["image/timestamp"]], np.int64),
                "group": _text(context["clip/group"][0]),
            }
            if self.classes:
                example["label"] = int(context["clip/label/index"][0])
            if self.has_captions:
                example["caption"] = [_text(text) for text in context["caption/string"]]
        except (LookupError, TypeError) as error:
            raise ValueError(f"a feature is missing or of another type ({error})") from error
        if self.encode(example) != payload:
            raise ValueError("its features do not agree with each other")
        return example

    def _sequence(self, example: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Sequence[Any]]]:
        """Context and feature lists, with the keys of DMVR, TF Model Garden and MediaSequence."""
        timestamps = [int(stamp) for stamp in example["timestamp"]]
        height, width, channels = self.shape
        name = example["clip"].encode()
        context: dict[str, Any] = {
            "example/id": f"{example['clip']}#{int(example['segment'])}".encode(),
            "example/dataset_name": b"clips",
            "clip/data_path": _PART.sub("", example["clip"]).encode(),
            "clip/media_id": name,
            "clip/segment": int(example["segment"]),
            "clip/group": str(example["group"]).encode(),
            "clip/start/timestamp": timestamps[0],
            "clip/end/timestamp": timestamps[-1] + round(10**6 / self.fps),
            "image/format": self.encoding.upper().encode(),
            "image/height": height,
            "image/width": width,
            "image/channels": channels,
            "image/frame_rate": np.array([self.fps], np.float32),
        }
        if self.classes:
            label = self.classes[int(example["label"])].encode()
            context["clip/label/index"] = np.array([int(example["label"])], np.int64)
            context |= {"clip/label/string": [label], "clip/label/text": [label]}
        if self.has_captions:
            captions = [text.encode() for text in example["caption"]]
            context |= {"caption/string": captions, "text/context/content": captions}
        return context, {"image/encoded": list(example["video"]), "image/timestamp": timestamps}


def _text(value: Any) -> str:
    return str(value, "utf-8")
