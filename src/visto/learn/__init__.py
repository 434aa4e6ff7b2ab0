"""Learning: ``fit`` drives a learner step by step; what a run decides is its recipe, what it has is its state."""

from visto.learn.features import FeatureFeed
from visto.learn.feed import Feed, PixelFeed
from visto.learn.fit import Learner, Step, fit
from visto.learn.gradient import GradientLearner
from visto.learn.outputs import outputs
from visto.learn.recipe import Recipe
from visto.learn.sequences import FrameFeed, SequenceFeed
from visto.learn.series import WindowFeed, fit_closed_form
from visto.learn.state import State, load_state, save_state

__all__ = [
    "LEARNERS",
    "FeatureFeed",
    "Feed",
    "FrameFeed",
    "GradientLearner",
    "Learner",
    "PixelFeed",
    "Recipe",
    "SequenceFeed",
    "State",
    "Step",
    "WindowFeed",
    "fit",
    "fit_closed_form",
    "load_state",
    "outputs",
    "save_state",
]

# how a recipe learns: all of the model on pixels, its upper stages on what the frozen ones give, at once on features,
# one part of the model after the other, or at once on a series
LEARNERS = ("gradient", "transfer", "classic", "staged", "closed_form")
