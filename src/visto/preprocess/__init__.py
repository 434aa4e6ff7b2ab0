"""What happens between decoded pixels and the model: one module, stored with the model, used everywhere."""

from collections.abc import Callable

from visto.preprocess.standard import Fit, Normalise, Standard

__all__ = ["PREPROCESS", "Fit", "Normalise", "Standard"]

PREPROCESS: dict[str, Callable[..., Standard]] = {"standard": Standard}
