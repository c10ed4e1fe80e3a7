"""A data set of any kind: its shards, manifest, digests, duplicates and metadata, and reading it."""
