"""Shards to batches: the order of the data, feeds, and damaged records."""
