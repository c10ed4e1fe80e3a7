"""An object store for tests: ``store://bucket/name``, with the semantics of Beam's Google Cloud Storage."""
