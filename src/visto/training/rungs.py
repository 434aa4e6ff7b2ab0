"""The rungs of the ladder for some data, cheapest first: what may be tried, each as a request for one model."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from visto.data.facts import Facts
from visto.models.features.deep import BACKBONE
from visto.models.weights import find
from visto.recipes import Request, default_features, default_model
from visto.recipes.default import are_photos

MAJORITY = "majority"
FROZEN = "frozen backbone, linear head"
_MOST_ENLARGED = 20_000  # small images that a backbone may see at its own size: 3 GB of memory
# of a speedrun, narrowest first; a wider one learns more from each pass, and each costs it more
GREY_WIDTHS = ([16, 32, 32], [32, 64, 128], [32, 128, 128])
COLOUR_WIDTHS = ([32, 64, 64], [32, 128, 256], [64, 256, 256])


@dataclass(frozen=True, slots=True, kw_only=True)
class Rung:
    """``request`` is what a run of one model would be asked for; ``top``: this is what the budget is for."""

    name: str
    request: Request
    top: bool = False

    def to_json(self) -> dict[str, Any]:
        return {"name": self.name, "request": self.request.given(), "top": self.top}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Rung":
        return cls(name=content["name"], request=Request(**content["request"]), top=content["top"])


def rungs_for(facts: Facts, request: Request, images: int) -> list[Rung]:
    """All but the first rung, the majority class, and the last, the ensemble of the best."""
    plain = replace(request, budget=None)
    default, _ = default_model(facts, images=images, scratch=bool(request.scratch))
    seen = default_features(facts, "logistic", request.size)
    rungs = [_classic(request, name, seen) for name in ("logistic", "forest", "svm")]
    known = find(BACKBONE) is not None and not request.scratch
    if known and (are_photos(facts) or images <= _MOST_ENLARGED):
        frozen = replace(plain, model=BACKBONE, unfreeze=0, views=1 if are_photos(facts) else 0)
        rungs.append(Rung(name=FROZEN, request=frozen))
    scratch = replace(plain, scratch=True)
    if default == "speedrun":
        narrow = (GREY_WIDTHS if facts.channels == 1 else COLOUR_WIDTHS)[0]
        small = replace(scratch, model="speedrun", arguments={"widths": narrow}, epochs=2.0)
    else:
        small = replace(scratch, model="cnn")
    rungs.append(Rung(name="small CNN", request=small))
    if default == "cnn":  # the small one again: a deeper net is the next thing to try
        default = "resnet"
    names = {BACKBONE: "fine-tuned backbone", "speedrun": "speedrun CNN", "resnet": "residual CNN"}
    rungs.append(Rung(name=names.get(default, default), request=replace(plain, model=default), top=True))
    return rungs


def at_once(request: Request, model: str) -> Request:
    """For a model that is fitted at once: without what has no meaning for it."""
    balance = "weights" if request.balance == "weights" and model != MAJORITY else None
    return replace(
        request, model=model, budget=None, balance=balance, scratch=None, precision=None, device=None, download=None
    )


def _classic(request: Request, name: str, features: tuple[str, ...]) -> Rung:
    own = replace(at_once(request, name), features=features)
    return Rung(name=f"{name} on {' and '.join(features)}", request=own)


def narrower(facts: Facts) -> list[Mapping[str, Any]]:
    """Arguments of a speedrun, widest first."""
    return [{"widths": widths} for widths in reversed(GREY_WIDTHS if facts.channels == 1 else COLOUR_WIDTHS)]
