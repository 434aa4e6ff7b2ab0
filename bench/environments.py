"""An environment for each peer, made on first use from its pinned requirements, so that no peer bends another's."""

import compileall
import functools
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent


def python_of(name: str) -> Path:
    """The Python of the environment ``name``; "" is Visto's own.

    Made anew where the requirements are not those that it was made from. Raises CalledProcessError.
    """
    if not name:
        _compile_visto()
        return Path(sys.executable)
    folder, wanted = HERE / "envs" / name, HERE / "peers" / f"{name}.txt"
    made, python = folder / "made-from.txt", folder / "bin" / "python"
    if not made.exists() or made.read_bytes() != wanted.read_bytes():
        print(f"making the environment bench/envs/{name}", file=sys.stderr, flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        quiet = ["--quiet", "--disable-pip-version-check"]
        subprocess.run([python, "-m", "pip", "install", *quiet, "-r", wanted], check=True, stdout=sys.stderr)
        made.write_bytes(wanted.read_bytes())  # last: a build that was broken off is begun anew
    return python


@functools.cache
def _compile_visto() -> None:
    """To bytecode, as pip does with all that it copies: else Python may do so anew in each process."""
    compileall.compile_dir(HERE.parent / "src", quiet=1)
