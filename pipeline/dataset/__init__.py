"""A data set of any kind: features, shards, manifest, digests, duplicates, TFDS metadata; and a reader."""
