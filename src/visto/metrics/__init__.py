"""How good answers are: one family of metrics a file, each a ``Metric``, and the intervals around their figures."""

from visto.metrics.accuracy import Accuracy
from visto.metrics.average_precision import AveragePrecision, pr_curve
from visto.metrics.box_calibration import fit_box_scores
from visto.metrics.box_confusion import box_confusion
from visto.metrics.box_precision_recall import BoxPrecisionRecall, best_threshold, recall_by_size
from visto.metrics.confusion import confusion_matrix, row_rates
from visto.metrics.ece import CalibrationError
from visto.metrics.forecast_error import ForecastError
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
    "AveragePrecision",
    "BoxPrecisionRecall",
    "CalibrationError",
    "ForecastError",
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
    "best_threshold",
    "box_confusion",
    "confusion_matrix",
    "figures",
    "fit_box_scores",
    "images_needed",
    "mcnemar",
    "paired",
    "pr_curve",
    "recall_by_size",
    "row_rates",
    "wilson",
]
