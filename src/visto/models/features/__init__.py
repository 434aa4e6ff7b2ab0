"""Hand-made features: modules from float images N×C×H×W in 0–1 to float32 N×D, for models that do not learn their own.

A builder is called ``x(*, channels, size) -> nn.Module`` with 1 or 3 channels and ``size`` as (height, width) in
pixels; it raises UsageError where the features do not fit such images. The module has ``dimensions``, its D; it has no
parameters, and each row is of its image alone. New features are one file and one line here.
"""

from collections.abc import Callable

from torch import nn

from visto.models.features.colour import colour
from visto.models.features.cooccurrence import cooccurrence
from visto.models.features.deep import deep
from visto.models.features.edges import edges
from visto.models.features.hog import hog
from visto.models.features.lbp import lbp
from visto.models.features.raw import raw

FEATURES: dict[str, Callable[..., nn.Module]] = {
    "raw": raw,
    "hog": hog,
    "lbp": lbp,
    "colour": colour,
    "edges": edges,
    "co-occurrence": cooccurrence,
    "deep": deep,
}
