"""The verb ``predict``: one interface over whatever can recognise, a bundle today, an exported file tomorrow."""

from visto.prediction.exported import GraphRecogniser
from visto.prediction.following import check_followable, drawn, follow
from visto.prediction.picture import Picture, Source, encoded, frames_of, images_at
from visto.prediction.proposing import Proposing
from visto.prediction.recogniser import Recogniser, TorchRecogniser, recogniser_of
from visto.prediction.run import Failed, Predicted, predict

__all__ = [
    "Failed",
    "GraphRecogniser",
    "Picture",
    "Predicted",
    "Proposing",
    "Recogniser",
    "Source",
    "TorchRecogniser",
    "check_followable",
    "drawn",
    "encoded",
    "follow",
    "frames_of",
    "images_at",
    "predict",
    "recogniser_of",
]
