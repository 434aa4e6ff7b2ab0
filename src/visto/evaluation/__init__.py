"""The verb ``evaluate``: every figure with its interval, on images that the recogniser has not seen."""

from visto.evaluation.judge import judge
from visto.evaluation.run import Evaluation, evaluate

__all__ = ["Evaluation", "evaluate", "judge"]
