"""The verb ``predict``: one interface over whatever can recognise, a bundle today, an exported file tomorrow."""

from visto.predict.recogniser import Recogniser, TorchRecogniser, open_recogniser
from visto.predict.run import Failed, Predicted, predict

__all__ = ["Failed", "Predicted", "Recogniser", "TorchRecogniser", "open_recogniser", "predict"]
