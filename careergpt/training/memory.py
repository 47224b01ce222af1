"""On a CPU, memory that is freed is kept for the next step."""

from __future__ import annotations

import ctypes

# Names of malloc.h.
_TRIM_THRESHOLD, _MMAP_MAX = -1, -4


def keep_freed_memory() -> bool:
    """Has glibc keep what is freed for this process; whether there is a glibc that does.

    Every step frees and asks for the same gigabytes. By default glibc takes each large tensor from
    the system and gives it back, and the system fills each new page with zeros first. It holds for
    all that the process does from then on.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # Another C library, another system.
        return False
    return bool(mallopt(_MMAP_MAX, 0)) and bool(mallopt(_TRIM_THRESHOLD, -1))
