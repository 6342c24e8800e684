"""Giving memory back to the system after large requests: what glibc's allocator is told when the server starts."""

import ctypes
import os
from typing import Final

# Numbers of malloc.h. Without them glibc raises its own thresholds to the largest block it has seen freed, up to
# 32 MB, and gives each thread a heap of its own: blocks below then stay with the process for good.
M_TRIM_THRESHOLD: Final = -1
M_MMAP_THRESHOLD: Final = -3
M_ARENA_MAX: Final = -8

LARGE_BYTES: Final = 512 * 1024  # a block of this size is mapped on its own, and given back when it is freed
IDLE_BYTES: Final = 8 * 1024 * 1024  # what may stay free at the end of the heap
HEAPS: Final = 2


def give_back() -> bool:
    """Bound what the allocator keeps; False where it is not glibc's. To be called before threads start."""
    if "CS_GNU_LIBC_VERSION" not in os.confstr_names or not os.confstr("CS_GNU_LIBC_VERSION"):
        return False
    mallopt = ctypes.CDLL(None).mallopt
    options = ((M_MMAP_THRESHOLD, LARGE_BYTES), (M_TRIM_THRESHOLD, IDLE_BYTES), (M_ARENA_MAX, HEAPS))
    return {mallopt(option, value) for option, value in options} == {1}
