"""Local and remote files: atomic writes, directory locks, TFRecord framing, Example messages."""
