"""Flags that several programs share, and the set-up of TensorFlow and Keras."""
