"""Prediction: of sequences of a data set or fresh from a seed, and of sequences in files."""
