"""How this process gets its memory: large blocks are kept for the next step instead of being given back after each.

A step of training frees and asks for the same hundreds of megabytes again and again. The C library gives blocks of that
size back to the system at once, which hands them out anew page by page, each filled with zeros: two thirds of the time
of EfficientNet-Lite0's frozen stages went there (92 images a second, 297 without).
"""

import ctypes
import resource
import sys

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # names of glibc's mallopt
_LARGE = (1 << 31) - 1
_BLOCK = 1 << 30


def keep_freed_memory() -> bool:
    """Ask glibc to keep what is freed, for the rest of the process; False where there is no glibc to ask."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    return bool(mallopt(_MMAP_THRESHOLD, _BLOCK)) and bool(mallopt(_TRIM_THRESHOLD, _LARGE))


def peak_memory() -> int:
    """The most bytes of memory that this process has held so far, with what it has read of mapped files."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024
