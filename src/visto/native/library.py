"""The compiled loops: built at first use by the system's C compiler, and kept in the cache's folder.

A name in there says what a library was built from and what its bytes are, so that one of another machine, or one half
written, is not loaded but built anew. The folder is for its owner alone: what is loaded runs.
"""

import ctypes
import functools
import hashlib
import itertools
import os
import platform
import shutil
import stat
import subprocess
import tempfile
import threading
from pathlib import Path

from visto.errors import ResourceError
from visto.files import cache_folder, write_bytes

_HERE = Path(__file__).parent
_COMPILERS = ("cc", "gcc", "clang")
_FLAGS = ("-O2", "-march=native", "-shared", "-fPIC")
# by the name of a library: what it is made from, with the headers, and flags of its own
_SOURCES = {
    "pixels": ("pixels.c",),
    "learning": ("winograd.c", "winograd_back.c", "norm.c", "windows.h", "points.h", "lanes.h"),
    "answers": ("answers.c", "windows.h", "points.h", "lanes.h"),
}
# by -O2 alone gcc leaves loops over bytes as they are; to vectorise all of them takes a quarter more time to build, -O3
# twice as much, and they are no faster
_OWN_FLAGS = {
    "pixels": ("-fopenmp-simd", "-ffp-contract=off", "-pthread"),
    "learning": ("-fopenmp",),
    "answers": ("-fopenmp",),
}
_TIME_LIMIT = 60  # seconds; it takes half of one
_FOLDER = "native"
# lines of /proc/cpuinfo; the last two are ARM's
_OF_KIND = ("vendor_id", "cpu family", "model", "flags", "CPU ", "Features")
_building = threading.Lock()
_tried: set[str] = set()  # the libraries that were loaded, or that cannot be had


def library(name: str) -> ctypes.CDLL | None:
    """The compiled loops; None where there is no compiler, it fails, or the folder cannot be used or trusted."""
    with _building:
        found = _library(name)
        _tried.add(name)
        return found


def loaded_library(name: str) -> ctypes.CDLL | None:
    """The compiled loops where they are there already: for who can do without them as long as they are built."""
    return _library(name) if name in _tried else None


def begin_building(name: str) -> None:
    """Load the loops, or build them, in a thread beside what comes next; an interpreter that ends waits for it."""
    if name not in _tried:
        threading.Thread(target=library, args=(name,), name="visto-native").start()


@functools.cache
def _library(name: str) -> ctypes.CDLL | None:
    try:
        compiler = next(filter(None, map(shutil.which, _COMPILERS)), None)
        if compiler is None:
            return None
        folder = cache_folder() / _FOLDER
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not _is_ours(folder):
            return None
        key = _key(name, compiler)
        return ctypes.CDLL(str(_kept(folder, key) or _built(name, folder, key, compiler)))
    except (OSError, subprocess.SubprocessError, ResourceError):
        return None


def forget_libraries() -> None:
    """Remove all that were kept; what is loaded stays loaded."""
    shutil.rmtree(cache_folder() / _FOLDER, ignore_errors=True)


def _is_ours(folder: Path) -> bool:
    """Whether nobody else can write to it or exchange what lies in it."""
    status = folder.lstat()
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid() and not status.st_mode & 0o022


def _key(name: str, compiler: str) -> str:
    """What the library is made from, by what, and for which processor."""
    status = os.stat(compiler)
    parts = (*_flags(name), compiler, str(status.st_size), str(status.st_mtime_ns), _processor())
    source = b"".join((_HERE / file).read_bytes() for file in _SOURCES[name])
    return hashlib.sha256("\0".join(parts).encode() + source).hexdigest()[:32]


def _flags(name: str) -> tuple[str, ...]:
    return _FLAGS + _OWN_FLAGS[name]


def _processor() -> str:
    """What the processor is and can: ``-march=native`` builds for no other."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            of_first_core = itertools.takewhile(str.strip, file)
            return "".join(line for line in of_first_core if line.startswith(_OF_KIND))
    except OSError:
        return f"{platform.machine()} {platform.processor()}"


def _kept(folder: Path, key: str) -> Path | None:
    for path in folder.glob(f"{key}-*.so"):
        if path.name == _name(key, path.read_bytes()):
            return path
    return None


def _name(key: str, content: bytes) -> str:
    return f"{key}-{hashlib.sha256(content).hexdigest()[:32]}.so"


def _built(name: str, folder: Path, key: str, compiler: str) -> Path:
    with tempfile.TemporaryDirectory(prefix="visto-native-") as made:
        out = Path(made) / f"{name}.so"
        sources = [str(_HERE / file) for file in _SOURCES[name] if file.endswith(".c")]
        command = [compiler, *_flags(name), "-o", str(out), *sources, "-lm"]
        subprocess.run(command, check=True, capture_output=True, stdin=subprocess.DEVNULL, timeout=_TIME_LIMIT)  # noqa: S603
        content = out.read_bytes()
    path = folder / _name(key, content)
    write_bytes(path, content)
    return path
