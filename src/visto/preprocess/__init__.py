"""What happens between decoded pixels and the model: one module, stored with the model, used everywhere."""

from collections.abc import Callable
from typing import Any

from visto.preprocess.series import Series, StepsFit
from visto.preprocess.standard import Fit, Normalise, Standard
from visto.preprocess.steps import STEPS, canonical, is_colourless

__all__ = ["PREPROCESS", "STEPS", "Fit", "Normalise", "Series", "Standard", "StepsFit", "canonical", "is_colourless"]

PREPROCESS: dict[str, Callable[..., Any]] = {"standard": Standard, "series": Series}
