"""How many cores this process may use."""

from __future__ import annotations


def usable_cores() -> int:
    """The machine's cores, or fewer where affinity or the quota of a container allows fewer; at least 1.

    ``os.cpu_count()`` knows of neither: in a container for two cores of a large machine, as many workers as
    the machine has cores would share these two, and the memory.
    """
    import loky  # Only those who ask wait for its import.

    return int(loky.cpu_count())
