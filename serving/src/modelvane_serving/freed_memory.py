"""Keeps memory that was freed for what comes next, instead of giving it back to the system after each request."""

import ctypes
import os
from typing import Final

# Parameters of glibc's mallopt, from its malloc.h.
M_TRIM_THRESHOLD: Final = -1
M_MMAP_THRESHOLD: Final = -3
# glibc takes arrays of more than 128 KiB from the system and gives them back when they are freed. A table of 4,096 rows
# is several of them on its way through, and to have their pages mapped again each time is a third of what it costs.
LARGEST_KEPT: Final = 16 * 1024 * 1024
KEPT_IN_ALL: Final = 64 * 1024 * 1024


def keep_freed_memory() -> None:
    """Tell the allocator, where it is glibc's and nobody has told it otherwise."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None and not any(name.startswith("MALLOC_") for name in os.environ):
        mallopt(M_MMAP_THRESHOLD, LARGEST_KEPT)
        mallopt(M_TRIM_THRESHOLD, KEPT_IN_ALL)
