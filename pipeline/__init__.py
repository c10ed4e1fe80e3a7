"""Makes, verifies, reads and draws data sets, of moving lines or of any other kind.

Nothing in this package imports TensorFlow, so that Beam workers do not need it.
"""
