"""A fit by scikit-learn in a process of its own, so that a limit of time or Ctrl-C can end it at any moment."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.torch import load
from torch import Tensor

from visto.errors import ResourceError
from visto.files import as_resource_error, write_json

_LOOK = 0.05  # seconds between two looks at the process


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What to fit: ``model`` is one of the solver's, ``options`` its arguments; ``seconds`` (0: none) is the limit."""

    model: str
    options: Mapping[str, Any]
    seconds: float
    threads: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Late:
    """The fit would not have ended, or did not end, within its limit; ``seconds`` is the estimate."""

    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Solved:
    """``arrays`` by the names of the buffers that they are for, and what scikit-learn warned of (empty: nothing)."""

    arrays: Mapping[str, Tensor]
    warning: str = ""


def solve(job: Job, x_nd: Tensor, y_n: Tensor, folder: Path) -> Generator[Solved | Late | None, None, None]:
    """Yields None a few times a second, then what was fitted, or that it takes too long.

    Whoever stops asking ends the process. ``folder`` is made and removed. Raises ResourceError where the process died.
    """
    began = time.perf_counter()
    process = None
    try:
        _write(job, x_nd, y_n, folder)
        errors = (folder / "errors.txt").open("wb")
        with errors:
            environment = {**os.environ, "OMP_NUM_THREADS": str(job.threads)}
            # a group of its own: Ctrl-C is ours to pass on
            process = subprocess.Popen(  # noqa: S603
                [sys.executable, "-P", str(Path(__file__).with_name("solver.py")), str(folder)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                env=environment,
                process_group=0,
            )
            while process.poll() is None:
                yield None
                time.sleep(_LOOK)
                if job.seconds and time.perf_counter() - began > job.seconds:
                    yield Late(seconds=job.seconds)
                    return
        if (folder / "late.json").exists():
            yield Late(seconds=json.loads((folder / "late.json").read_text(encoding="utf-8"))["seconds"])
            return
        if not (folder / "result.safetensors").exists():
            raise _died(process.returncode, folder)
        yield Solved(arrays=load((folder / "result.safetensors").read_bytes()), warning=_warning(folder))
    finally:
        if process is not None and process.poll() is None:
            process.kill()
            process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def has_intelex() -> bool:
    """Whether scikit-learn-intelex is installed, which fits some of the models several times as fast."""
    return importlib.util.find_spec("sklearnex") is not None


def _write(job: Job, x_nd: Tensor, y_n: Tensor, folder: Path) -> None:
    try:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        np.save(folder / "x.npy", x_nd.numpy(), allow_pickle=False)
        np.save(folder / "y.npy", y_n.numpy(), allow_pickle=False)
    except OSError as error:
        raise as_resource_error(error, folder) from error
    options = {**job.options, "threads": job.threads}
    write_json(
        folder / "job.json",
        {"model": job.model, "options": options, "seconds": job.seconds, "intelex": has_intelex()},
    )


def _warning(folder: Path) -> str:
    lines = (folder / "errors.txt").read_text(encoding="utf-8", errors="replace").splitlines()
    return next((line.split("Warning: ", 1)[1].strip() for line in lines if "ConvergenceWarning: " in line), "")


def _died(code: int, folder: Path) -> ResourceError:
    lines = (folder / "errors.txt").read_text(encoding="utf-8", errors="replace").strip().splitlines()
    why = lines[-1] if lines else f"it ended with {code}"
    memory = "Memory" in why or code == -9
    return ResourceError(
        f"the fit by scikit-learn did not end well: {why}",
        hint="it needs more memory than there is: take fewer components or a smaller --size" if memory else "",
    )
