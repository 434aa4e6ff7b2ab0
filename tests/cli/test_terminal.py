"""A bar on stderr leaves stdout to the data."""

import os
import subprocess
import sys

SCRIPT = """
from visto.cli.terminal import Terminal, show
for item in Terminal().progress(range(3), total=3, words="looking"):
    show(f"line {item}")
for item in Terminal().progress(range(2), total=0, words="nobody knows how many"):
    show(f"line {item}")
"""


def test_data_stays_on_stdout_under_a_bar() -> None:
    ours, theirs = os.openpty()
    child = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        stdout=subprocess.PIPE,
        stderr=theirs,
        check=True,
        env={**os.environ, "TERM": "xterm"},
    )
    os.close(theirs)
    shown = os.read(ours, 1 << 16)
    os.close(ours)
    assert child.stdout.decode().splitlines() == ["line 0", "line 1", "line 2", "line 0", "line 1"]
    assert b"looking" in shown and b"line" not in shown and b"nobody" not in shown
