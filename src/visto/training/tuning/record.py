"""What a tuning leaves behind, as JSON values: ``tuning.json`` beside the bundle, and a few words in the bundle."""

from collections.abc import Sequence
from typing import Any

from visto.training.tuning.choices import as_options
from visto.training.tuning.last import Outcome
from visto.training.tuning.search import Found, Ground
from visto.training.tuning.trial import Tried


def record(ground: Ground, found: Found, outcome: Outcome) -> dict[str, Any]:
    """Everything: the choices with the values of default and winner, each trial with its curve, the comparison."""
    name, sense = ground.monitor
    importance, whole = ground.study.importance()
    noted = ground.study.noted("last") or {}
    best = int(noted.get("best", 0))
    values = found.tried[best].values if best else {}
    return {
        "figure": name,
        "sense": sense,
        "learnt": len(ground.parts.prepared.train),
        "held_out": len(ground.parts.prepared.validation),
        "epochs": {
            "trial": round(ground.recipe.epochs * found.plan.trial, 4),
            "last": round(ground.recipe.epochs * outcome.share, 4),
            "default": ground.recipe.epochs,
        },
        "choices": [
            {
                "name": choice.name,
                "default": choice.default,
                "winner": values.get(choice.name, choice.default),
                "importance": importance.get(choice.name),
                "options": list(choice.options) or None,
            }
            for choice in ground.study.choices
        ],
        "importance_from": whole,
        "trials": [_trial(one) for one in found.tried],
        "best": best,
        "comparison": _comparison(outcome),
        "kept": "winner" if outcome.kept is outcome.winner else "default",
        "options": as_options(outcome.default.recipe, outcome.winner.recipe) if outcome.winner else "",
        "words": outcome.words,
    }


def in_brief(content: dict[str, Any]) -> dict[str, Any]:
    """What the bundle itself says of it."""
    names = ("kept", "words", "held_out", "best", "options")
    chosen = {choice["name"]: choice["winner"] for choice in content["choices"]}
    return {name: content[name] for name in names} | {"trials": len(content["trials"]), "winner": chosen}


def _trial(one: Tried) -> dict[str, Any]:
    result = one.result
    return {
        "number": one.number,
        "outcome": result.outcome,
        "why": result.why,
        "values": dict(one.values),
        "figure": result.figure,
        "loss": result.loss,
        "seconds": result.seconds,
        "curve": [list(point) for point in result.curve],
    }


def _comparison(outcome: Outcome) -> dict[str, Any] | None:
    """Default and winner on the same validation images; None where there was nothing to compare."""
    if outcome.winner is None:
        return None

    def figures(metrics: Sequence[str], of: str) -> dict[str, Any]:
        trained = outcome.winner if of == "winner" and outcome.winner is not None else outcome.default
        known = trained.bundle.manifest.metrics
        return {name: known[name].to_json() for name in metrics if name in known}

    names = list(outcome.difference)
    return {
        "n": outcome.default.judged.n,
        "default": figures(names, "default"),
        "winner": figures(names, "winner"),
        "difference": {name: figure.to_json() for name, figure in outcome.difference.items()},
    }
