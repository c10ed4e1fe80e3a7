"""Flags that programs share, and what is settled before TensorFlow is imported."""
