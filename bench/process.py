"""Run a command to its end: its wall time, processor time and largest memory. Nothing is left running behind it."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_PATIENCE = 10.0  # seconds to end by itself after SIGTERM


class Failed(Exception):
    """A contender that did not end well; the message is for the reader of the bench."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """``seconds`` from start to exit; ``peak_mib`` of its largest process, not of all of them together."""

    seconds: float
    processor_seconds: float
    peak_mib: float
    out: str


def run(command: Sequence[str], environment: Mapping[str, str], folder: Path, log: Path) -> Ran:
    """Run ``command`` in ``folder`` and wait; what it says on stderr is added to ``log``. Raises Failed."""
    out = log.with_suffix(".out")
    with log.open("ab") as errors, out.open("w+b") as answers:
        began = time.perf_counter()
        # a session of its own: Ctrl-C reaches the bench, which then ends the contender with all its workers
        child = subprocess.Popen(
            command, env=environment, cwd=folder, stdout=answers, stderr=errors, start_new_session=True
        )
        try:
            _, status, usage = os.wait4(child.pid, 0)
        except BaseException:
            _end(child)
            raise
        seconds = time.perf_counter() - began
        child.returncode = os.waitstatus_to_exitcode(status)
        answers.seek(0)
        text = answers.read().decode(errors="replace")
    out.unlink()
    if child.returncode:
        last = "\n".join(log.read_text(errors="replace").splitlines()[-8:])
        raise Failed(f"ended with {child.returncode}: {' '.join(command)}\n{last}")
    return Ran(
        seconds=seconds,
        processor_seconds=usage.ru_utime + usage.ru_stime,
        peak_mib=usage.ru_maxrss / 1024,  # Linux counts in KiB
        out=text,
    )


def _end(child: subprocess.Popen[bytes]) -> None:
    """SIGTERM to the child's whole session, SIGKILL where that is not heard."""
    for signals in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signals)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(_PATIENCE)
    child.wait()
