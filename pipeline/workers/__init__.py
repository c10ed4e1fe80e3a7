"""The processes that do the work, on this machine and on an engine's."""
