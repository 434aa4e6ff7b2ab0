"""Learning: ``fit`` drives a learner step by step; what a run decides is its recipe, what it has is its state."""

from collections.abc import Callable

from visto.learn.fit import Learner, Step, fit
from visto.learn.gradient import GradientLearner
from visto.learn.recipe import Recipe
from visto.learn.state import State, load_state, save_state

__all__ = ["LEARNERS", "GradientLearner", "Learner", "Recipe", "State", "Step", "fit", "load_state", "save_state"]

LEARNERS: dict[str, Callable[..., GradientLearner]] = {"gradient": GradientLearner}
