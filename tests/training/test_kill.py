"""``kill -9`` at any moment, then ``--resume``: the same weights as the unbroken run, bit for bit.

VISTO_KILLS sets how many (3). The moment is drawn over the whole life of the process, reading and writing included.
"""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from visto.__main__ import run

COMMAND = ["train", "digits", "--epochs", "8", "--patience", "7", "--precision", "fp32", "--quiet"]
VISTO = [sys.executable, "-m", "visto"]
KILLS = int(os.environ.get("VISTO_KILLS", "3"))
THREADS = os.environ.get("VISTO_KILL_THREADS", "1")


def command(out: Path, *more: str) -> list[str]:
    return [*COMMAND, "--threads", THREADS, "-o", str(out), *more]


def weights(bundle: Path) -> bytes:
    return (bundle / "weights.safetensors").read_bytes()


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, float]:
    """The weights of a run that nobody stops, and the seconds it takes."""
    out = tmp_path_factory.mktemp("unbroken") / "digits.visto"
    began = time.monotonic()
    subprocess.run([*VISTO, *command(out)], check=True)
    return weights(out), time.monotonic() - began


@pytest.mark.timeout(60 + 60 * KILLS)
@pytest.mark.parametrize("kill", range(KILLS))
def test_a_killed_run_ends_the_same(kill: int, unbroken: tuple[bytes, float], tmp_path: Path) -> None:
    expected, seconds = unbroken
    moment = random.Random(kill).uniform(0.1, 1.0) * seconds
    out = tmp_path / "digits.visto"
    process = subprocess.Popen([*VISTO, *command(out)])
    try:
        process.wait(moment)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert run(command(out, "--resume")) == 0
    assert weights(out) == expected
    assert not list(tmp_path.rglob("*.part"))
