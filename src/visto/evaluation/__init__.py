"""The verbs ``evaluate`` and ``compare``: every figure with its interval, on images that no recogniser has seen."""

from visto.evaluation.comparison import Comparison, compare
from visto.evaluation.groups import Group
from visto.evaluation.judge import judge
from visto.evaluation.run import Evaluation, evaluate

__all__ = ["Comparison", "Evaluation", "Group", "compare", "evaluate", "judge"]
