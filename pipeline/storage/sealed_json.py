"""JSON files that carry their own digest, so that damage is noticed before anything is believed."""

from __future__ import annotations

import hashlib
import json
from typing import Any


def seal(document: Any) -> bytes:
    """A file's content: the document, and the SHA-256 of its canonical JSON (sorted keys, no spaces)."""
    return json.dumps({"sha256": _digest(document), "document": document}).encode()


def unseal(content: bytes) -> Any:
    """The document in a file's content.

    Raises:
        ValueError: if this is not what `seal` made of any document.
    """
    sealed = json.loads(content)
    if not isinstance(sealed, dict) or set(sealed) != {"sha256", "document"}:
        raise ValueError("not a sealed document")
    if sealed["sha256"] != _digest(sealed["document"]):
        raise ValueError("the document does not match its digest")
    return sealed["document"]


def _digest(document: Any) -> str:
    return hashlib.sha256(json.dumps(document, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
