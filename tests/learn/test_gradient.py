"""The gradient learner: it learns, it is repeatable, and a resumed run is an unbroken one, bit for bit."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from tests.learn.conftest import learner_of
from visto.errors import ModelError, UsageError
from visto.learn import Recipe, State, fit, gradient, load_state, save_state
from visto.learn.engine import Engine, choose, disagreement
from visto.native import winograd
from visto.spec import Spec
from visto.types import Silent


def run(recipe: Recipe, steps: int | None = None) -> State:
    learner = learner_of(recipe)
    state = learner.start()
    for step in fit(learner, state):
        if step.step == steps:
            break
    return state


def same(a: State, b: State) -> bool:
    return all(torch.equal(v, b.averaged[k]) for k, v in a.averaged.items())


def test_it_learns(recipe: Recipe) -> None:
    state = run(replace(recipe, epochs=20, mixup=0.0))
    assert state.history[-1]["validation_accuracy"] > 0.95
    assert state.ended


def test_a_seed_decides_everything(recipe: Recipe) -> None:
    assert same(run(recipe), run(recipe))
    assert not same(run(recipe), run(replace(recipe, seed=1)))


@pytest.mark.parametrize("optimiser", ["adamw", "sgd", "muon"])
@pytest.mark.parametrize("stop", [1, 7, 23])
def test_resume_is_exact(recipe: Recipe, tmp_path: Path, optimiser: str, stop: int) -> None:
    recipe = replace(recipe, optimiser=optimiser, patience=3)
    unbroken = run(recipe)
    save_state(tmp_path / "state", run(recipe, steps=stop))
    learner = learner_of(recipe)
    resumed = learner.resume(tmp_path / "state", Silent())
    assert resumed.step == stop
    for _ in fit(learner, resumed):
        pass
    assert same(unbroken, resumed)
    assert unbroken.history == resumed.history
    assert unbroken.best.keys() == resumed.best.keys()
    assert all(torch.equal(v, resumed.best[k]) for k, v in unbroken.best.items())


def test_every_image_is_seen_from_both_sides_in_two_epochs(recipe: Recipe) -> None:
    rows = learner_of(replace(recipe, augmentation=("flip",), mixup=0.0)).feed.rows  # type: ignore[attr-defined]
    steps, everything = rows.order.steps_per_epoch, torch.arange(200)
    first, second, third = (rows.flipped(everything, epoch * steps) for epoch in range(3))
    assert torch.equal(first, ~second) and torch.equal(first, third)
    assert 60 < int(first.sum()) < 140
    again = learner_of(replace(recipe, balance="sampling")).feed.rows  # type: ignore[attr-defined]
    assert again.flipped(everything, 0) is None


def test_the_speedrun_net_learns_in_orthogonal_steps_and_goes_on_exactly(recipe: Recipe, tmp_path: Path) -> None:
    model: Spec[nn.Module] = Spec(
        name="speedrun", arguments={"classes": 4, "channels": 1, "size": [8, 8], "widths": [8, 16]}
    )
    muon = replace(recipe, model=model, optimiser="muon", schedule="linear", lr=0.06, ema=0.0, epochs=6, mixup=0.0)
    unbroken = run(muon)
    assert unbroken.history[-1]["validation_accuracy"] > 0.95
    whitening = unbroken.averaged["whitening.filters"]
    assert not torch.equal(whitening[:4].flatten(1), torch.eye(4))
    save_state(tmp_path / "state", run(muon, steps=11))
    learner = learner_of(muon)
    state = learner.resume(tmp_path / "state", Silent())
    list(fit(learner, state))
    assert same(unbroken, state)


def test_resume_is_exact_in_bf16(recipe: Recipe, tmp_path: Path) -> None:
    recipe = replace(recipe, precision="bf16")
    save_state(tmp_path / "state", run(recipe, steps=9))
    learner = learner_of(recipe)
    resumed = learner.resume(tmp_path / "state", Silent())
    for _ in fit(learner, resumed):
        pass
    assert same(run(recipe), resumed)


def test_resume_is_exact_with_native_kernels(recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not winograd.can_convolve():
        pytest.skip("no AVX512-BF16, or no C compiler with OpenMP")
    native = Engine(precision="bf16", kernels="native")
    monkeypatch.setattr(gradient, "choose", lambda *_: native)
    arguments = {"classes": 4, "channels": 1, "size": [8, 8], "widths": [32, 32]}
    recipe = replace(recipe, model=Spec(name="speedrun", arguments=arguments), optimiser="muon", lr=0.06, ema=0.0)
    unbroken = run(recipe)
    save_state(tmp_path / "state", run(recipe, steps=9))
    monkeypatch.setattr(gradient, "choose", lambda *_: pytest.fail("it was chosen before"))
    learner = learner_of(recipe)
    resumed = learner.resume(tmp_path / "state", Silent())
    assert learner.engine == native and all(part.native for part in resumed.model.modules() if hasattr(part, "native"))
    for _ in fit(learner, resumed):
        pass
    assert same(unbroken, resumed) and unbroken.history[-1]["validation_accuracy"] > 0.9


def test_a_damaged_state_is_refused(recipe: Recipe, tmp_path: Path) -> None:
    path = tmp_path / "state"
    save_state(path, run(recipe, steps=1))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(ModelError, match="damaged"):
        load_state(path, learner_of(recipe).blank())


def test_a_loss_that_is_not_finite_stops_before_the_weights_are_touched(recipe: Recipe) -> None:
    learner = learner_of(replace(recipe, lr=1e6, optimiser="sgd", schedule="constant", mixup=0.0))
    state = learner.start()
    with pytest.raises(UsageError, match="the loss became"):
        for _ in fit(learner, state):
            before = {k: v.clone() for k, v in state.model.state_dict().items() if v.is_floating_point()}
    assert all(torch.equal(v, state.model.state_dict()[k]) for k, v in before.items() if "running" not in k)


def test_early_stopping_keeps_the_best_epoch(recipe: Recipe) -> None:
    state = run(replace(recipe, epochs=60, patience=2))
    accuracies = [row["validation_accuracy"] for row in state.history]
    assert accuracies[state.best_epoch] == max(accuracies)
    assert len(accuracies) - 1 - state.best_epoch == 2
    assert "no better accuracy" in state.ended


def test_the_range_test_finds_a_rate_that_learns(recipe: Recipe) -> None:
    state = run(replace(recipe, lr=0.0, epochs=20, mixup=0.0))
    rates = [rate for rate, _ in state.decisions["range_test"]]
    assert rates == sorted(rates)
    assert 1e-4 < state.decisions["lr"] < 0.3
    assert state.history[-1]["validation_accuracy"] > 0.95


def test_a_budget_decides_the_number_of_steps_once(recipe: Recipe, tmp_path: Path) -> None:
    learner = learner_of(replace(recipe, budget=3.5))
    state = learner.start(lambda: 1.0)
    assert state.total_steps == state.decisions["total_steps"]
    # 1 s was used, 1.5 are for the end, a twentieth is kept back
    expected = 0.95 / state.decisions["seconds_per_step"]
    assert math.isclose(state.total_steps, expected, rel_tol=0.1)
    save_state(tmp_path / "state", state)
    again = learner_of(replace(recipe, budget=3.5)).blank()
    load_state(tmp_path / "state", again)
    assert again.total_steps == state.total_steps


def test_l1_makes_weights_smaller(recipe: Recipe) -> None:
    def size(l1: float) -> float:
        state = run(replace(recipe, l1=l1, weight_decay=0.0, epochs=10))
        return sum(float(v.abs().sum()) for k, v in state.averaged.items() if v.ndim > 1)

    assert size(5e-2) < 0.8 * size(0.0)


def test_bf16_is_checked_on_the_model_itself(recipe: Recipe) -> None:
    learner = learner_of(recipe)
    model, images = learner.blank().model, learner.feed.batch(0).inputs["images"]
    assert 0 < disagreement(model, images, Engine(precision="bf16")) < 0.1
    assert choose("fp32", "cpu", model, images) == Engine(precision="fp32")
    with pytest.raises(UsageError, match="fp8"):
        choose("fp8", "cpu", model, images)


@pytest.mark.parametrize(
    ("name", "value"),
    [("epochs", 0), ("batch_size", 0), ("lr", -1), ("lr", math.nan), ("mixup", -1), ("seed", -1), ("ema", 1.0)],
)
def test_a_recipe_checks_itself(recipe: Recipe, name: str, value: float) -> None:
    with pytest.raises(UsageError, match="expected"):
        replace(recipe, **{name: value})  # type: ignore[arg-type]


def test_a_recipe_survives_json(recipe: Recipe) -> None:
    assert Recipe.from_json(recipe.to_json()) == recipe
