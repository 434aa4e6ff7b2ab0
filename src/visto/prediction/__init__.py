"""The verb ``predict``: one interface over whatever can recognise, a bundle today, an exported file tomorrow."""

from visto.prediction.recogniser import Recogniser, TorchRecogniser, open_recogniser
from visto.prediction.run import Failed, Predicted, predict

__all__ = ["Failed", "Predicted", "Recogniser", "TorchRecogniser", "open_recogniser", "predict"]
