"""Log loss: how surprised the scores are by the truth, in nats; it rewards honest scores, not only right answers."""

from collections.abc import Mapping

import torch
from torch import Tensor

from visto.metrics.scored import Scored, ScoredMetric


class LogLoss(ScoredMetric):
    """``log_loss``: the mean of −ln(score of the true class) (Good 1952, *Rational Decisions*).

    Scores are clipped to [ε, 1 − ε] with the machine epsilon of their type, as in scikit-learn, so that one sure
    mistake costs 15.9 with float32 and not infinity.
    """

    def keep(self, scored: Scored) -> Mapping[str, Tensor]:
        own = scored.scores.gather(1, scored.targets[:, None])[:, 0]
        epsilon = torch.finfo(own.dtype).eps
        return {"loss": -own.clamp(epsilon, 1 - epsilon).double().log()}

    def compute_many(self, weights_nr: Tensor) -> Mapping[str, Tensor]:
        return {"log_loss": self.columns["loss"] @ weights_nr / weights_nr.sum(dim=0)}
