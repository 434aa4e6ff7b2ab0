"""A run in another process that is killed, as by the power going."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence

VISTO = ("-m", "visto")


def killed(arguments: Sequence[str], when: Callable[[], object]) -> None:
    """Run Python with ``arguments`` until ``when`` is true. Then: SIGKILL."""
    process = subprocess.Popen([sys.executable, *arguments])
    while not when() and process.poll() is None:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "it ended before it was killed"
