"""The verbs ``train`` and ``tune``: from a data set to a bundle."""

from visto.training.folder import RunFolder
from visto.training.growth import train
from visto.training.run import Trained
from visto.training.tuning import tune

__all__ = ["RunFolder", "Trained", "train", "tune"]
