"""How good answers are: one family of metrics a file, each a ``Metric``, and the intervals around their figures."""

from visto.metrics.accuracy import Accuracy
from visto.metrics.confusion import confusion_matrix, row_rates
from visto.metrics.ece import CalibrationError
from visto.metrics.intervals import Paired, figures, paired
from visto.metrics.kappa import Kappa
from visto.metrics.log_loss import LogLoss
from visto.metrics.mcnemar import McNemar, images_needed, mcnemar
from visto.metrics.multi_label import (
    MultiLabelAccuracy,
    MultiLabelCalibration,
    MultiLabelPrecisionRecall,
    MultiLabelRanking,
)
from visto.metrics.precision_recall import PrecisionRecall
from visto.metrics.ranking import Ranking
from visto.metrics.wilson import wilson

__all__ = [
    "Accuracy",
    "CalibrationError",
    "Kappa",
    "LogLoss",
    "McNemar",
    "MultiLabelAccuracy",
    "MultiLabelCalibration",
    "MultiLabelPrecisionRecall",
    "MultiLabelRanking",
    "Paired",
    "PrecisionRecall",
    "Ranking",
    "confusion_matrix",
    "figures",
    "images_needed",
    "mcnemar",
    "paired",
    "row_rates",
    "wilson",
]
