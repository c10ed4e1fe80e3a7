"""The number of cores that this process may use."""

from __future__ import annotations


def usable_cores() -> int:
    """Number of cores, limited by CPU affinity and by a container's CPU quota; at least 1.

    ``os.cpu_count()`` ignores both limits: in a container it would lead to too many workers.
    """
    import loky  # Slow to import, so imported only when needed.

    return int(loky.cpu_count())
