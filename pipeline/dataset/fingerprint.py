"""The fingerprint of a data set, which identifies the bytes of its files.

It is the SHA-256 of the canonical JSON of the format version, the kind's name, the settings and the entries
of all shards in order; in format 3, also of the kind's reference and version and of the features. Times, host
and library versions are no part of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.dataset.splits import Split
from pipeline.storage.canonical_json import json_sha256


def fingerprint(head: Mapping[str, Any], settings: Mapping[str, Any], splits: Mapping[str, Split]) -> str:
    """``sha256:`` and 64 hexadecimal digits.

    Args:
        head: what the manifest says of format and kind, by name.
        settings: of the data set.
        splits: by name.
    """
    entries = {name: [shard.to_json() for shard in split.shards] for name, split in splits.items()}
    return f"sha256:{json_sha256({**head, 'settings': settings, 'splits': entries})}"
