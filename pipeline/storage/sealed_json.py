"""JSON files that contain their own digest, so that damage is detected."""

from __future__ import annotations

import json
from typing import Any

from pipeline.storage.canonical_json import json_sha256


def seal(document: Any) -> bytes:
    """A file's content: ``document``, a JSON value, and the SHA-256 of its JSON (sorted keys, no spaces)."""
    return json.dumps({"sha256": json_sha256(document), "document": document}).encode()


def unseal(content: bytes) -> Any:
    """The document in a file's content.

    Raises:
        ValueError: if the content is not one that `seal` returned.
    """
    sealed = json.loads(content)
    if not isinstance(sealed, dict) or set(sealed) != {"sha256", "document"}:
        raise ValueError("not a sealed document")
    if sealed["sha256"] != json_sha256(sealed["document"]):
        raise ValueError("the document does not match its digest")
    return sealed["document"]
