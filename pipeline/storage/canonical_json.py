"""The SHA-256 of a JSON document, whatever the order of its keys."""

from __future__ import annotations

import hashlib
import json
from typing import Any


def json_sha256(document: Any) -> str:
    """Hexadecimal SHA-256 of a document's canonical JSON: sorted keys, no spaces."""
    canonical = json.dumps(document, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()
