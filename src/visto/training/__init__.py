"""The verb ``train``: from a data set to a bundle."""

from visto.training.folder import RunFolder
from visto.training.run import Trained, train

__all__ = ["RunFolder", "Trained", "train"]
