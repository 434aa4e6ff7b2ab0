"""A classic model opened up: what it sees of an image, in how many numbers, and the module with what was fitted."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import nn

from visto.bundle import Bundle
from visto.errors import ModelError
from visto.models import CLASSIC, build_model
from visto.models.described import Described
from visto.report.words import counted


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """``described`` makes ``numbers`` of an image (None where images do not matter), turned onto ``axes`` (0: not).

    ``sizes`` is what the data decided: nodes, support vectors, images kept.
    """

    name: str
    module: nn.Module
    described: Described | None
    features: tuple[str, ...]
    numbers: int
    axes: int
    sizes: Mapping[str, int]


def fitted_of(bundle: Bundle) -> Fitted | None:
    """None for a model that learnt step by step. Raises ModelError where its weights do not fit it."""
    spec = bundle.manifest.model
    if spec.name not in CLASSIC:
        return None
    module = build_model(spec).eval()
    try:
        module.load_state_dict(dict(bundle.weights))
    except RuntimeError as error:
        raise ModelError(f"the weights of {bundle.path} do not fit its model: {error}") from error
    found = getattr(module, "described", None)
    described = found if isinstance(found, Described) else None
    return Fitted(
        name=spec.name,
        module=module,
        described=described,
        features=described.names if described else (),
        numbers=sum(described.widths) if described else 0,
        axes=described.dimensions if described and described.dimensions < sum(described.widths) else 0,
        sizes=spec.arguments.get("fitted") or {},
    )


def sees_words(fitted: Fitted) -> str:
    """Such as: hog and colour (1,764 numbers an image, 128 main axes)."""
    axes = f", {counted(fitted.axes, 'main axis', 'main axes')}" if fitted.axes else ""
    names = tuple("raw pixels" if name == "raw" else name for name in fitted.features)
    return f"{joined(names)} ({counted(fitted.numbers, 'number')} an image{axes})"


def joined(names: tuple[str, ...]) -> str:
    """
    >>> joined(("hog",)), joined(("hog", "lbp")), joined(("raw", "hog", "lbp"))
    ('hog', 'hog and lbp', 'raw, hog and lbp')
    """
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1]))) if names else ""
