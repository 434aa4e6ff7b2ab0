"""Where and from what a measurement comes: the machine, who else uses it, the state of the sources."""

import os
import platform
import re
import subprocess
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
TICKS = os.sysconf("SC_CLK_TCK")


def machine() -> dict[str, Any]:
    """Model of the processor, cores that this process may use, memory."""
    cpuinfo = Path("/proc/cpuinfo")
    found = re.search(r"^model name\s*:\s*(.+)$", cpuinfo.read_text(), re.M) if cpuinfo.exists() else None
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "processor": found[1].strip() if found else platform.processor() or platform.machine(),
        "architecture": platform.machine(),
        "cores": cores(),
        "memory_gib": round(memory / 2**30, 1),
    }


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def versions() -> dict[str, str]:
    """Of what Visto runs on."""
    return {"python": platform.python_version(), **{name: version(name) for name in ("visto", "torch", "numpy")}}


def sources() -> tuple[str, bool]:
    """The commit, and whether anything beside it has been changed (results of this bench do not count)."""

    def git(*arguments: str) -> str:
        command = ["git", "--no-optional-locks", "-C", str(ROOT), *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    try:
        changed = git("status", "--porcelain", "--", ":/", ":(top,exclude)bench/results")
        return git("rev-parse", "HEAD"), bool(changed)
    except (OSError, subprocess.CalledProcessError):
        return "unknown", True


def busy_seconds() -> float | None:
    """Processor seconds that the whole machine has worked since it was started; None where it does not say."""
    try:
        fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()
    except OSError:
        return None
    user, nice, system, _idle, _waiting, interrupts, soft = (int(field) for field in fields[1:8])
    return (user + nice + system + interrupts + soft) / TICKS


def cores_busy(pause: float = 1.0) -> float | None:
    """How many cores others keep busy, while we pause for so many seconds.

    The load average would not do: for a minute it still counts the measurement before.
    """
    began, before = time.perf_counter(), busy_seconds()
    time.sleep(pause)
    after = busy_seconds()
    if before is None or after is None:
        return None
    return round((after - before) / (time.perf_counter() - began), 2)
