"""Checks every byte of a data set of any kind, finds damaged records, and repairs shards."""
