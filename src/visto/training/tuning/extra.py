"""Optuna is an extra: where it is not installed, that is said before anything is read."""

from typing import TYPE_CHECKING

from visto.errors import UsageError

if TYPE_CHECKING:
    from visto.training.tuning.study import Study


def study_class() -> "type[Study]":
    """``Study``, which needs Optuna. Raises UsageError where that is not installed."""
    try:
        from visto.training.tuning.study import Study
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] != "optuna":
            raise
        raise UsageError(
            "visto tune needs Optuna, which is not installed", hint="install it: pip install 'visto[tune]'"
        ) from error
    return Study
