"""Several models as one: the weighted mean of what they hold likely (Lakshminarayanan et al. 2017).

The mean is one of scores, each member's softened by a temperature of its own, not of logits, but is given as logits, so
that an ensemble is a model like any other: it is calibrated, judged and stored as such.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import visto.models  # the table itself is asked for when a model is built: by then it is whole
from visto.errors import UsageError
from visto.spec import Spec

BLENDS = ("softmax", "sigmoid")
_TWO = ({"name": "cnn", "arguments": {"depth": 1, "width": 4}}, {"name": "cnn", "arguments": {"depth": 2, "width": 4}})


class Ensemble(nn.Module):
    """``weights`` (one for each member, positive) are brought to a sum of 1; ``temperatures`` divide its logits."""

    shares: Tensor
    temperatures: Tensor

    def __init__(
        self, members: Sequence[nn.Module], weights: Sequence[float], temperatures: Sequence[float], blend: str
    ) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.blend = blend
        # arguments of the builder, so no part of the weights that are stored
        self.register_buffer("shares", torch.tensor(weights) / sum(weights), persistent=False)
        self.register_buffer("temperatures", torch.tensor(temperatures), persistent=False)

    def forward(self, images_nchw: Tensor) -> dict[str, Tensor]:
        logits_mnk = torch.stack([member(images_nchw)["logits"].float() for member in self.members])
        return {"logits": blended(log_scores(logits_mnk, self.blend, self.temperatures), self.shares)}


def ensemble(
    *,
    classes: int,
    channels: int,
    size: Sequence[int],
    members: Sequence[Mapping[str, Any]] = _TWO,
    weights: Sequence[float] = (),
    temperatures: Sequence[float] = (),
    blend: str = "softmax",
) -> nn.Module:
    """Models side by side, made by visto train --ensemble; their scores are averaged, weighted.

    ``members`` have a ``name`` and ``arguments`` each, as a bundle stores a model; classes, channels and size are the
    ensemble's. No ``weights``: equal ones. ``temperatures`` are those that the members were calibrated with; none: 1
    each. ``blend`` says what a member's scores are: ``softmax`` of its logits, or ``sigmoid``, each class for itself.
    Raises UsageError for weights or temperatures that do not suit.
    """
    if blend not in BLENDS:
        raise UsageError(f"no blend {blend!r}", expected=f"one of {', '.join(BLENDS)}")
    shares = [float(w) for w in weights] or [1.0] * len(members)
    softened = [float(t) for t in temperatures] or [1.0] * len(members)
    for what, values in (("weights", shares), ("temperatures", softened)):
        if not members or len(values) != len(members) or not all(value > 0 for value in values):
            raise UsageError(f"{what} {values} for {len(members)} members", expected="a positive one for each")
    shared = {"classes": classes, "channels": channels, "size": list(size)}
    specs: list[Spec[nn.Module]] = [Spec.from_json(member).with_arguments(**shared) for member in members]
    return Ensemble([spec.build(visto.models.MODELS) for spec in specs], shares, softened, blend)


def log_scores(logits_mnk: Tensor, blend: str, temperatures_m: Tensor | None = None) -> Tensor:
    """The logs of the scores of M members, P×M×N×K: of each class (P = 1), or of yes and of no to each (P = 2).

    ``temperatures_m`` soften them, each member's logits divided by its own; None: as they are.
    """
    if temperatures_m is not None:
        logits_mnk = logits_mnk / temperatures_m[:, None, None]
    if blend == "sigmoid":
        return torch.stack([F.logsigmoid(logits_mnk), F.logsigmoid(-logits_mnk)])
    return logits_mnk.log_softmax(-1)[None]


def blended(log_scores_pmnk: Tensor, shares_m: Tensor) -> Tensor:
    """Logits N×K of the mean score, weighted by ``shares_m``; stable where a score is nearly 0 or 1.

    >>> halves = torch.tensor([0.5, 0.5])
    >>> two = torch.tensor([[[0.9, 0.1]], [[0.5, 0.5]]]).log()
    >>> blended(log_scores(two, "softmax"), halves).exp().mul(10).round().tolist()
    [[7.0, 3.0]]
    >>> blended(log_scores(torch.tensor([[[200.0]], [[-200.0]]]), "sigmoid"), halves).tolist()
    [[0.0]]
    """
    return as_logits((log_scores_pmnk + shares_m.log()[:, None, None]).logsumexp(1))


def as_logits(log_scores_pnk: Tensor) -> Tensor:
    """Logits N×K from logs of scores, P×N×K as in ``log_scores``: for yes and no the log of their odds."""
    return log_scores_pnk[0] - log_scores_pnk[1] if len(log_scores_pnk) == 2 else log_scores_pnk[0]
