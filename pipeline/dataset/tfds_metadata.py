"""The metadata files that let ``tfds.builder_from_directory`` open a data set's directory."""

from __future__ import annotations

import json
from typing import Any

from pipeline.dataset.manifest import Manifest
from pipeline.dataset.shard_plan import DATASET_NAME
from pipeline.moving_line.encodings import ENCODINGS
from pipeline.moving_line.lines import CLASS_NAMES

_VERSION = "1.0.0"
_DESCRIPTION = (
    "Moving lines: sequences of square frames in which a line grows by a pixel a frame,"
    " leftwards or rightwards."
)
_FEATURES = "tensorflow_datasets.core.features"


METADATA_NAMES = ("dataset_info.json", "features.json", "label.labels.txt")


def metadata_files(manifest: Manifest) -> dict[str, bytes]:
    """File names and contents, names as in `METADATA_NAMES`."""
    labels = "".join(f"{name}\n" for name in CLASS_NAMES).encode()
    contents = (_json(_dataset_info(manifest)), _json(_features(manifest)), labels)
    return dict(zip(METADATA_NAMES, contents, strict=True))


def _dataset_info(manifest: Manifest) -> dict[str, Any]:
    feature = ENCODINGS[manifest.settings.encoding].feature
    return {
        "name": DATASET_NAME,
        "version": _VERSION,
        "description": _DESCRIPTION,
        "fileFormat": "tfrecord",
        "splits": [
            {
                "name": name,
                "shardLengths": [str(shard.num_sequences) for shard in split.shards],
                "numBytes": str(split.num_bytes),
            }
            for name, split in manifest.splits.items()
        ],
        "supervisedKeys": {"tuple": {"items": [{"featureKey": feature}, {"featureKey": "label"}]}},
    }


def _features(manifest: Manifest) -> dict[str, Any]:
    encoding = ENCODINGS[manifest.settings.encoding]
    dimensions = [str(size) for size in encoding.shape(manifest.settings.image_size)]
    return {
        "pythonClassName": f"{_FEATURES}.features_dict.FeaturesDict",
        "featuresDict": {
            "features": {
                encoding.feature: {
                    "pythonClassName": f"{_FEATURES}.tensor_feature.Tensor",
                    "tensor": {
                        "shape": {"dimensions": dimensions},
                        "dtype": "uint8",
                        "encoding": encoding.tfds_encoding,
                    },
                },
                "label": {
                    "pythonClassName": f"{_FEATURES}.class_label_feature.ClassLabel",
                    "classLabel": {"numClasses": str(len(CLASS_NAMES))},
                },
            }
        },
    }


def _json(document: dict[str, Any]) -> bytes:
    return (json.dumps(document, indent=1) + "\n").encode()
