"""The request that a directory is filled for, with the versions that decide bytes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from pipeline.dataset.manifest import Manifest
from pipeline.definition import Definition, reference_to


@dataclass(frozen=True)
class Request:
    """A requested data set: everything that decides the bytes of its shards.

    Attributes:
        kind: reference of the kind: the value of ``--dataset`` that finds it.
        settings: the definition's settings, by name.
        versions: versions, by name, of what decides the bytes: definition, manifest format and libraries.
    """

    kind: str
    settings: dict[str, Any]
    versions: dict[str, str]

    @classmethod
    def of(cls, definition: Definition) -> Request:
        """The request for a definition, with the versions of this process."""
        versions = {"definition": str(definition.version), "format": str(definition.format_version)}
        kind = reference_to(type(definition))
        return cls(kind, definition.requested(), {**versions, **definition.libraries()})

    @classmethod
    def of_manifest(cls, manifest: Manifest) -> Request:
        """The request that a finished data set fulfils.

        Raises:
            RequestError: see `Manifest.definition`.
        """
        # The libraries are those of this process: no shard will be added, and a repair compares digests.
        # A manifest without a definition's version is of version 1.
        request = cls.of(manifest.definition)
        definition = manifest.environment.get("definition", "1")
        return replace(request, versions={**request.versions, "definition": definition})

    def is_of_same_data_set(self, other: Request) -> bool:
        """Whether kind and settings are equal; the versions may differ."""
        return (self.kind, self.settings) == (other.kind, other.settings)

    def difference(self, other: Request) -> str:
        """The entries that differ, as text with this request's value first: ``seed 3, not 4``."""
        before, after = (
            {"dataset": request.kind, **request.settings, **request.versions} for request in (self, other)
        )
        return ", ".join(
            f"{name} {before.get(name)}, not {after.get(name)}"
            for name in {**before, **after}
            if before.get(name) != after.get(name)
        )

    def to_json(self) -> dict[str, Any]:
        """The request as its file and the reports store it."""
        return {"dataset": self.kind, "settings": self.settings, "versions": self.versions}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Request:
        """The inverse of `to_json`.

        Raises:
            TypeError, LookupError, ValueError: if ``data`` is not a value that `to_json` returns.
        """
        return cls(data["dataset"], dict(data["settings"]), dict(data["versions"]))
