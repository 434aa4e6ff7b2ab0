"""Whose signature a model needs before it is loaded: the keys that were named, else those of VISTO_TRUSTED_KEYS."""

import os
from collections.abc import Sequence
from pathlib import Path

from visto.bundle.keys import Keys, read_public_keys
from visto.errors import UsageError

VARIABLE = "VISTO_TRUSTED_KEYS"


def trusted_keys(files: Sequence[Path] | None = None) -> Keys:
    """The public keys in ``files``, else (None) in those of the environment; empty where it names none: all is let in.

    Raises UsageError for a file that is no such key, for an empty list, and where the variable is set but empty: a slip
    must not let everything in.
    """
    if files is None:
        return read_public_keys(_of_the_environment())
    if not files:
        raise UsageError("an empty list of trusted keys", hint="leave it out to load models that nobody has signed")
    return read_public_keys(files)


def _of_the_environment() -> list[Path]:
    value = os.environ.get(VARIABLE)
    if value is None:
        return []
    names = value.split(os.pathsep)
    if not all(names):
        raise UsageError(
            f"{VARIABLE} is {value!r}",
            expected=f"one or more paths of public keys, {os.pathsep!r} between them",
            hint="unset it to load models that nobody has signed",
        )
    return [Path(name) for name in names]
