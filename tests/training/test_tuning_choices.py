"""What may be chosen of each model, how a budget is shared out, what the study tries and remembers."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from visto.errors import UsageError
from visto.learn import Recipe
from visto.models import build_model
from visto.recipes import Request, apply, speedrun, suggest, transfer
from visto.training.tuning.choices import Choice, Value, as_options, choices_of, with_values
from visto.training.tuning.plan import Cost, planned, shared
from visto.training.tuning.search import best_of
from visto.training.tuning.study import Study
from visto.training.tuning.trial import Result, Tried
from visto.training.tuning.words import is_better, verdict
from visto.types import Figure

FIT = {"size": [16, 16], "channels": 1, "crop": "whole", "prepare": []}


def recipe_of(model: str, **changes: Any) -> Recipe:
    recipe = suggest(model=model, images=1000, classes=10, fit=FIT, mean=[0.5], std=[0.2])
    return replace(recipe, **changes)


def names(recipe: Recipe, request: Request | None = None) -> list[str]:
    return [choice.name for choice in choices_of(recipe, request or Request())]


COMMON = ["lr", "weight_decay", "l1", "label_smoothing"]


@pytest.mark.parametrize(
    ("model", "own"),
    [
        ("mlp", ["dropout", "augment", "activation", "depth", "width"]),
        ("cnn", ["dropout", "augment", "kernel", "activation", "depth", "width"]),
        ("resnet", ["dropout", "augment", "activation", "width"]),
    ],
)
def test_a_model_has_the_choices_that_its_builder_takes(model: str, own: list[str]) -> None:
    recipe = recipe_of(model)
    assert names(recipe) == COMMON + own
    for choice in choices_of(recipe, Request()):
        assert with_values(recipe, {choice.name: choice.default}) == recipe
        for value in choice.options or (choice.low, choice.high):
            changed = with_values(recipe, {choice.name: value})
            assert (changed == recipe) == (value == choice.default)
            build_model(changed.model)


def test_what_speedrun_and_pretrained_models_have() -> None:
    fast = speedrun(recipe_of("speedrun"), images=1000)
    # muon keeps its filters at unit size: no decay to choose
    assert names(fast) == ["lr", "label_smoothing", "augment", "activation", "depth", "width"]
    assert with_values(fast, {"width": 64, "depth": 2}).model.arguments["widths"] == [64, 256]
    assert with_values(fast, {"depth": 4}).model.arguments["widths"] == [32, 128, 128, 128]
    photos = transfer(recipe_of("efficientnet_lite0"), images=1000, grey=False)
    assert names(photos) == [*COMMON, "dropout", "augment", "epochs", "unfreeze"]
    tuned = with_values(photos, {"unfreeze": 3, "augment": "none", "epochs": photos.epochs})
    assert (tuned.frozen, tuned.views, tuned.augmentation, tuned.least_errors) == (photos.frozen + 3, 0, (), 0)
    assert as_options(photos, tuned) == "--augment none --unfreeze 3"


def test_several_labels_are_not_smoothed() -> None:
    assert "label_smoothing" not in names(recipe_of("cnn", task="multilabel"))


def test_what_is_given_stays_as_it_is() -> None:
    request = Request(lr=0.01, augmentation=("crop",), arguments={"kernel_size": 5})
    recipe = apply(recipe_of("cnn"), request)
    assert not {"lr", "augment", "kernel"} & set(names(recipe, request))
    (choice,) = choices_of(recipe, replace(request, search=("kernel_size",)))
    assert (choice.name, choice.default, choice.options) == ("kernel", 5, (3, 5, 7))
    assert "lr" not in names(apply(recipe, Request(lr=0.0)), Request(lr=0.0))
    with pytest.raises(UsageError, match="no such choice"):
        choices_of(recipe, Request(search=("lr", "colour")))
    with pytest.raises(UsageError, match="nothing that visto tune could choose"):
        choices_of(replace(recipe, learner="neighbours"), Request())


def test_options_train_the_winner_again() -> None:
    recipe = recipe_of("mlp")
    values: dict[str, Value] = {"lr": 0.0123, "l1": 1e-5, "augment": "flip+crop", "width": 512, "activation": "gelu"}
    words = as_options(recipe, with_values(recipe, values))
    assert words == "--lr 0.0123 --l1 1e-05 --augment flip,crop --set hidden=[512,256] --set activation=gelu"


# the budget


@given(st.floats(1, 1e5), st.floats(0, 100), st.floats(0.1, 1e5), st.integers(1, 9999))
def test_a_plan_keeps_to_its_time(left: float, start: float, whole: float, steps: int) -> None:
    cost = Cost(start=start, epochs=whole)
    plan = planned(left, cost, steps=steps, learnt=0.8)
    assert 0 <= plan.final <= 1
    assert 0 <= plan.trial <= 1
    if plan.trial:
        winner = Cost(start=start, epochs=1.2 * whole)
        assert cost.of(plan.final) + winner.of(plan.final) + 0.8 * cost.of(plan.trial) <= left
    elif plan.final:
        assert cost.of(plan.final) <= left


@given(st.floats(0.1, 1e4), st.lists(st.tuples(st.floats(0, 50), st.floats(0.1, 1e4)), min_size=1, max_size=2))
def test_both_last_trainings_fit(left: float, pairs: list[tuple[float, float]]) -> None:
    costs = [Cost(start=start, epochs=epochs) for start, epochs in pairs]
    share = shared(left, costs)
    assert share == 0 or sum(cost.of(share) for cost in costs) <= left


# the study

LR = Choice(name="lr", default=0.01, low=0.001, high=0.1)
KERNEL = Choice(name="kernel", default=3, options=(3, 5, 7))


def figure_of(values: Any) -> float:
    """As if a kernel of 5 were best, and the rate mattered a little."""
    return float(0.9 + 0.05 * (values["kernel"] == 5) - 0.01 * abs(values["lr"] - 0.01) / 0.1)


def tried_by(study: Study, trials: int) -> list[Tried]:
    for _ in range(trials):
        asked = study.ask()
        asked.tell(Result(outcome="complete", figure=figure_of(asked.values), curve=((1.0, 0.5),)))
    return study.ended()


def test_a_study_goes_on_where_it_was_killed(tmp_path: Path) -> None:
    whole = tried_by(Study(tmp_path / "whole.jsonl", [LR, KERNEL], seed=3, sense="max"), 14)
    assert whole[0].values == {"lr": 0.01, "kernel": 3}
    path = tmp_path / "killed.jsonl"
    tried_by(Study(path, [LR, KERNEL], seed=3, sense="max"), 9)
    Study(path, [LR, KERNEL], seed=3, sense="max").ask()  # killed in its tenth trial
    with path.open("a") as file:
        file.write('{"op_code": 6, "wor')
    assert tried_by(Study(path, [LR, KERNEL], seed=3, sense="max"), 5) == whole
    other = tried_by(Study(tmp_path / "other.jsonl", [LR, KERNEL], seed=4, sense="max"), 3)
    assert other[1].values != whole[1].values


def test_what_matters_is_found(tmp_path: Path) -> None:
    study = Study(tmp_path / "study.jsonl", [LR, KERNEL], seed=0, sense="max")
    assert study.importance() == ({}, 0)
    tried = tried_by(study, 20)
    assert best_of(tried, "max").values["kernel"] == 5
    importance, trials = study.importance()
    assert trials == 20
    assert importance["kernel"] > 0.8


def test_the_worse_half_is_stopped(tmp_path: Path) -> None:
    study = Study(tmp_path / "study.jsonl", [LR], seed=0, sense="max")
    for figure in (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85):
        asked = study.ask()
        assert not asked.hopeless(50, figure)
        asked.tell(Result(outcome="complete", figure=figure))
    asked = study.ask()
    assert not asked.hopeless(10, 0.1)  # too early to tell
    assert asked.hopeless(50, 0.6)
    asked.tell(Result(outcome="pruned", why="worse", figure=0.6))
    assert not study.ask().hopeless(50, 0.7)
    assert [one.result.outcome for one in study.ended()] == ["complete"] * 8 + ["pruned"]


def test_a_tie_goes_to_the_earliest_and_the_default() -> None:
    def one(number: int, figure: float, loss: float, outcome: Any = "complete") -> Tried:
        return Tried(number=number, values={}, result=Result(outcome=outcome, figure=figure, loss=loss))

    assert best_of([one(0, 0.9, 0.3), one(1, 0.9, 0.3)], "max").number == 0
    assert best_of([one(0, 0.9, 0.3), one(1, 0.9, 0.2)], "max").number == 1
    assert best_of([one(0, 0.9, 0.3), one(1, 0.95, 0.1, "pruned")], "max").number == 0
    assert best_of([one(0, 0.9, 0.3), one(1, 0.8, 0.5)], "min").number == 1


@pytest.mark.parametrize(
    ("figure", "better", "words"),
    [
        (Figure(value=0.02, low=0.01, high=0.03), True, "the winner was kept"),
        (Figure(value=0.02, low=-0.01, high=0.03), False, "not surely better"),
        (Figure(value=0.0), False, "no difference in accuracy"),
        (Figure(value=-0.02, low=-0.03, high=-0.01), False, "is worse than the default"),
    ],
)
def test_the_default_stays_unless_the_winner_is_surely_better(figure: Figure, better: bool, words: str) -> None:
    assert is_better(figure, "max") == better
    said = verdict(figure, "accuracy", "max", 200)
    assert words in said
    assert better or "the default was kept" in said
