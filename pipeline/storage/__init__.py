"""Files, local and remote: atomic writes, locks, TFRecord framing, messages, damaged files."""
