"""The verb ``evaluate``: every figure with its interval, on images that the recogniser has not seen."""

from visto.evaluate.judge import judge
from visto.evaluate.run import Evaluation, evaluate

__all__ = ["Evaluation", "evaluate", "judge"]
