"""The verb ``train``: from a data set to a bundle."""

from visto.training.folder import RunFolder
from visto.training.growth import train
from visto.training.run import Trained

__all__ = ["RunFolder", "Trained", "train"]
