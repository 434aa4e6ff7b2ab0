"""Recipes are functions: from what the data is like to a recipe, and from one recipe to another."""

from visto.recipes.classic import classic, default_features
from visto.recipes.default import default_model, default_size, detector_size, pretrained_sizes, suggest
from visto.recipes.detect import averaged, detect, in_stages
from visto.recipes.fine_tune import fine_tune
from visto.recipes.override import Request, apply, check_same
from visto.recipes.rows import rows
from visto.recipes.sequences import few_clips, many_clips, series
from visto.recipes.speedrun import speedrun
from visto.recipes.transfer import transfer

__all__ = [
    "Request",
    "apply",
    "averaged",
    "check_same",
    "classic",
    "default_features",
    "default_model",
    "default_size",
    "detect",
    "detector_size",
    "few_clips",
    "fine_tune",
    "in_stages",
    "many_clips",
    "pretrained_sizes",
    "rows",
    "series",
    "speedrun",
    "suggest",
    "transfer",
]
