"""Data: the definition of a moving line and the Beam job that writes data sets of them.

Nothing in this package imports TensorFlow, so all of it runs on a bare Beam worker.
"""
