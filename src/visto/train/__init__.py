"""The verb ``train``: from a data set to a bundle."""

from visto.train.folder import RunFolder
from visto.train.run import Trained, train

__all__ = ["RunFolder", "Trained", "train"]
