"""The metadata files from which ``tfds.builder_from_directory`` opens a data set."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pipeline.dataset.features import ClassLabel, Feature, Tensor, Text, Video
from pipeline.dataset.manifest import Manifest

_FEATURES = "tensorflow_datasets.core.features"
_INFO_NAME, _FEATURES_NAME, _LABELS_SUFFIX = "dataset_info.json", "features.json", ".labels.txt"


def is_metadata_name(name: str) -> bool:
    """Whether a file name has the form of a name in `metadata_files`, of any data set."""
    return name in (_INFO_NAME, _FEATURES_NAME) or name.endswith(_LABELS_SUFFIX)


def metadata_files(manifest: Manifest) -> dict[str, bytes]:
    """Contents of the metadata files by file name.

    Raises:
        RequestError: see `Manifest.definition`, whose description is stored.
    """
    if not manifest.definition.is_tfds:
        return {}
    labels = {
        f"{name}{_LABELS_SUFFIX}": "".join(f"{each}\n" for each in feature.names).encode()
        for name, feature in manifest.features.items()
        if isinstance(feature, ClassLabel)
    }
    info, features = _json(_dataset_info(manifest)), _json(_features(manifest.features))
    return {_INFO_NAME: info, _FEATURES_NAME: features, **labels}


def _dataset_info(manifest: Manifest) -> dict[str, Any]:
    definition = manifest.definition
    description = definition.description or " ".join((type(definition).__doc__ or "").split())
    document: dict[str, Any] = {
        "name": manifest.dataset,
        "version": f"{manifest.version}.0.0",
        "description": description,
        "fileFormat": "tfrecord",
        "splits": [
            {
                "name": name,
                "shardLengths": [str(shard.num_sequences) for shard in split.shards],
                "numBytes": str(split.num_bytes),
            }
            for name, split in manifest.splits.items()
        ],
    }
    target = (name for name, feature in manifest.features.items() if isinstance(feature, ClassLabel))
    pair = [next(iter(manifest.features)), next(target, None)]
    if None not in pair:
        document["supervisedKeys"] = {"tuple": {"items": [{"featureKey": name} for name in pair]}}
    return document


def _features(features: Mapping[str, Feature]) -> dict[str, Any]:
    return {
        "pythonClassName": f"{_FEATURES}.features_dict.FeaturesDict",
        "featuresDict": {"features": {name: _feature(feature) for name, feature in features.items()}},
    }


def _feature(feature: Feature) -> dict[str, Any]:
    if isinstance(feature, ClassLabel):
        return {
            "pythonClassName": f"{_FEATURES}.class_label_feature.ClassLabel",
            "classLabel": {"numClasses": str(len(feature.names))},
        }
    if isinstance(feature, Video):
        return {
            "pythonClassName": f"{_FEATURES}.video_feature.Video",
            "video": {
                "shape": {"dimensions": ["-1", *map(str, feature.shape)]},
                "dtype": "uint8",
                "encodingFormat": feature.encoding,
            },
        }
    if isinstance(feature, Text):
        text = {"pythonClassName": f"{_FEATURES}.text_feature.Text", "text": {}}
        return _sequence(text) if feature.is_list else text
    assert isinstance(feature, Tensor)
    return {
        "pythonClassName": f"{_FEATURES}.tensor_feature.Tensor",
        "tensor": {
            "shape": {"dimensions": [str(-1 if size is None else size) for size in feature.shape]},
            "dtype": feature.dtype,
            "encoding": feature.encoding,
        },
    }


def _sequence(feature: dict[str, Any]) -> dict[str, Any]:
    return {
        "pythonClassName": f"{_FEATURES}.sequence_feature.Sequence",
        "sequence": {"feature": feature, "length": "-1"},
    }


def _json(document: dict[str, Any]) -> bytes:
    return (json.dumps(document, indent=1) + "\n").encode()
