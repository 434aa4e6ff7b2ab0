"""How good answers are: one family of metrics a file, each a ``Metric``, and the intervals around their figures."""

from visto.metrics.accuracy import Accuracy
from visto.metrics.auroc import Auroc
from visto.metrics.confusion import confusion_matrix, row_rates
from visto.metrics.ece import CalibrationError
from visto.metrics.intervals import figures, paired_difference
from visto.metrics.log_loss import LogLoss
from visto.metrics.precision_recall import PrecisionRecall
from visto.metrics.wilson import wilson

__all__ = [
    "Accuracy",
    "Auroc",
    "CalibrationError",
    "LogLoss",
    "PrecisionRecall",
    "confusion_matrix",
    "figures",
    "paired_difference",
    "row_rates",
    "wilson",
]
