"""The verb ``tune``: which learning rate, which kernel size, how much regularisation, measured on held-out images."""

from visto.training.tuning.run import tune

__all__ = ["tune"]
