"""Draws sequences and statistics of a data set of any kind."""
