"""The learning curve: nested parts, a power law through the points, a forecast, and words that it bears out."""

import json
from collections import Counter
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from tests.training.killing import VISTO, killed

import visto
from visto.__main__ import run
from visto.bundle import Bundle
from visto.data.dataset import Item
from visto.evaluation import Evaluation
from visto.learn import Recipe
from visto.spec import Spec
from visto.training import RunFolder
from visto.training.ensemble import carry_out_asked
from visto.training.growth import PARTS, Point, curve, epochs_by_the_clock, nested, parts_of
from visto.training.power_law import forecast
from visto.types import Figure, Label, Labels

TINY = ["--model", "mlp", "--set", "hidden=[16]", "--epochs", "4", "--threads", "1", "--precision", "fp32", "--quiet"]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISTO_CACHE", str(tmp_path / "cache"))


def command(out: Path, *more: str) -> list[str]:
    return ["train", "digits", "-o", str(out), *TINY, *more]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle with its learning curve, made without a break."""
    out = tmp_path_factory.mktemp("growth") / "g.visto"
    assert run(command(out, "--learning-curve")) == 0
    return out


def content(out: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((out.with_suffix(".run") / "learning-curve.json").read_text())
    return document


# the law


@settings(deadline=None, max_examples=100)
@given(st.floats(0, 0.2), st.floats(0.1, 5), st.floats(0.1, 1.5), st.integers(40, 5000))
def test_an_exact_law_is_found(floor: float, scale: float, power: float, images: int) -> None:
    sizes = torch.tensor([images / 8, images / 4, images / 2, images]).double()
    errors = (floor + scale * sizes**-power)[:, None]
    asked = torch.tensor([images, 2 * images])
    found = forecast(sizes, errors, 1e10 / errors.square(), asked)[:, 0]
    assert found.tolist() == pytest.approx((floor + scale * asked.double() ** -power).tolist(), rel=0.02)


def test_where_error_does_not_fall_it_will_not() -> None:
    sizes = torch.tensor([100, 200, 400])
    errors = torch.tensor([[0.2, 0.1], [0.2, 0.15], [0.2, 0.2]])
    found = forecast(sizes, errors, torch.full((3, 2), 1e4), torch.tensor([400, 800]))
    assert found[0].tolist() == pytest.approx(found[1].tolist())
    assert found[0].tolist() == pytest.approx([0.2, 0.15])


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10_000), st.integers(2, 5))
def test_a_forecast_is_never_negative_nor_worse_than_now(seed: int, points: int) -> None:
    random = torch.Generator().manual_seed(seed)
    errors, weights = torch.rand(points, 50, generator=random), 1000 * torch.rand(points, 50, generator=random)
    sizes = 100 * 2 ** torch.arange(points)
    now, twice = forecast(sizes, errors, weights + 1, torch.stack([sizes[-1], 2 * sizes[-1]]))
    assert bool((twice >= 0).all())
    assert bool((twice <= now + 1e-12).all())
    assert bool((now <= errors.max(0).values + 1e-9).all())


# the parts


def item(k: int, classes: list[int], group: str | None) -> Item:
    target = Label(index=classes[0]) if len(classes) == 1 else Labels(classes=tuple(sorted(set(classes))))
    return Item(id=f"{k}.png", source=Path(f"{k}.png"), target=target, split="train", group=group)


one_class = st.integers(0, 3).map(lambda c: [c])
some_classes = st.lists(st.integers(0, 3), max_size=3)
named = st.sampled_from([None, "a", "b", "c", "d"])


@settings(deadline=None, max_examples=100)
@given(st.lists(one_class, min_size=1, max_size=120), st.integers(0, 9))
def test_each_class_keeps_its_share(classes: list[list[int]], seed: int) -> None:
    items = [item(k, own, None) for k, own in enumerate(classes)]
    totals = Counter(own[0] for own in classes)
    before: set[int] = set()
    for part, rows in zip(PARTS, nested(items, PARTS, seed=seed), strict=True):
        assert len(set(rows)) == len(rows)
        assert before <= set(rows)
        assert Counter(classes[row][0] for row in rows) == {c: -(-n // part.denominator) for c, n in totals.items()}
        before = set(rows)


@settings(deadline=None, max_examples=100)
@given(st.lists(st.tuples(some_classes, named), min_size=1, max_size=60), st.integers(0, 9))
def test_groups_stay_whole_and_no_class_is_lost(rows_of: list[tuple[list[int], str | None]], seed: int) -> None:
    items = [item(k, *own) for k, own in enumerate(rows_of)]
    before: set[int] = set()
    for rows in nested(items, PARTS, seed=seed):
        inside = set(rows)
        assert before <= inside
        for group in {own.group for own in items if own.group}:
            members = {k for k, own in enumerate(items) if own.group == group}
            assert members <= inside or not members & inside
        every = {c for own in items for c in (own.target.classes if own.target else ())}
        assert every == {c for k in inside for c in (items[k].target or Label(index=0)).classes} & every
        before = inside


@settings(deadline=None, max_examples=30)
@given(st.lists(st.tuples(some_classes, named), min_size=1, max_size=40), st.randoms())
def test_the_order_of_the_items_does_not_matter(rows_of: list[tuple[list[int], str | None]], random: Any) -> None:
    items = [item(k, *own) for k, own in enumerate(rows_of)]
    mixed = list(items)
    random.shuffle(mixed)
    own, other = ([{list_[k].id for k in rows} for rows in nested(list_, PARTS, seed=0)] for list_ in (items, mixed))
    assert own == other


def test_another_seed_draws_others() -> None:
    items = [item(k, [k % 2], None) for k in range(200)]
    first, second = (next(nested(items, [Fraction(1, 8)], seed=seed)) for seed in (0, 1))
    assert set(first) != set(second)


def test_parts_too_small_or_too_near_are_left_out() -> None:
    few = [item(k, [k % 4], None) for k in range(20)]
    assert [len(rows) for rows in parts_of(few, seed=0, classes=4)] == [8, 12]
    grouped = [item(k, [k % 2], "large" if k < 90 else None) for k in range(100)]
    assert len(parts_of(grouped, seed=0, classes=2)) < 3


# the words


def point(error: float, images: int, seed: int) -> Point:
    """A model that errs so often on so many validation images, with a bootstrap as of independent ones."""
    samples = 1 - np.random.default_rng(seed).binomial(images, error, 1000) / images
    figure = Figure(value=1 - error, low=1 - error - 0.01, high=1 - error + 0.01)
    return Point(
        name="accuracy",
        sense="max",
        n=images,
        wrong=round(images * (1 - float(figure.value))),
        figure=figure,
        samples=torch.from_numpy(samples),
    )


def drawn_from(errors: list[float], images: int) -> dict[str, Any]:
    sizes = [1000 * 2**k for k in range(len(errors))]
    found = curve([point(error, images, k) for k, error in enumerate(errors)], sizes)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    return found


def test_a_falling_error_will_fall() -> None:
    found = drawn_from([0.4, 0.2828, 0.2, 0.1414], 20_000)
    assert found["forecast"]["images"] == 16_000
    assert found["forecast"]["value"] == pytest.approx(0.9, abs=0.01)
    assert 0.85 < found["forecast"]["low"] < 0.9 < found["forecast"]["high"] < 0.95
    assert found["words"].startswith("with twice the images (16,000) about 90.")
    assert found["words"].endswith("): more would help")
    assert [p["images"] for p in found["points"]] == [1000, 2000, 4000, 8000]
    assert {p["figure"] for p in found["points"]} == {"accuracy"}


def test_an_error_that_stands_will_stand() -> None:
    found = drawn_from([0.2002, 0.2, 0.2, 0.2], 200_000)
    assert found["words"].endswith("more images of the same kind would hardly help")


def test_what_few_images_cannot_tell_is_not_told() -> None:
    assert "cannot be told from 60 validation images" in drawn_from([0.2, 0.25, 0.15, 0.2], 60)["words"]
    assert "cannot be told, fewer than 5 of 60" in drawn_from([0.2, 0.1, 0.05, 0.0], 60)["words"]


def test_two_points_make_no_law() -> None:
    found = drawn_from([0.2, 0.1], 1000)
    assert found["forecast"] is None
    assert "cannot be told from 2 points" in found["words"]


# the run


def test_the_curve_lies_where_reports_look(drawn: Path, tmp_path: Path) -> None:
    found = content(drawn)
    sizes = [p["images"] for p in found["points"]]
    data = visto.load(drawn).bundle.manifest.data
    assert sizes[-1] == data["train"]
    assert [round(sizes[-1] / size) for size in sizes] == [8, 4, 2, 1]
    assert found["points"][-1]["value"] == visto.load(drawn).bundle.manifest.metrics["accuracy"].value
    assert found["points"][0]["value"] < found["points"][-1]["value"]
    assert found["forecast"]["images"] == 2 * sizes[-1]
    assert not (drawn.with_suffix(".run") / "curve").exists()
    page = tmp_path / "g.html"
    assert run(["report", str(drawn), "digits", "-o", str(page), "--threads", "1", "--quiet"]) == 0
    assert "growth" in page.read_text()


def test_the_full_run_is_what_it_is_without_a_curve(drawn: Path, tmp_path: Path) -> None:
    assert run(command(tmp_path / "g.visto")) == 0
    assert (tmp_path / "g.visto/weights.safetensors").read_bytes() == (drawn / "weights.safetensors").read_bytes()
    assert not (tmp_path / "g.run" / "learning-curve.json").exists()
    # asked for later it is the same; another request is not
    assert run(command(tmp_path / "g.visto", "--resume", "--learning-curve", "--seed", "3")) == 2
    assert run(command(tmp_path / "g.visto", "--resume", "--learning-curve")) == 0
    assert content(tmp_path / "g.visto") == content(drawn)


def test_it_is_printed(drawn: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(command(drawn, "--resume", "--json")) == 0
    assert json.loads(capsys.readouterr().out)["learning_curve"] == content(drawn)
    assert run(command(drawn, "--resume")) == 0
    out = capsys.readouterr().out
    assert "forecast" in out
    assert content(drawn)["words"] in out


@pytest.mark.timeout(120)
def test_killed_in_the_middle_it_ends_the_same(drawn: Path, tmp_path: Path) -> None:
    out = tmp_path / "g.visto"
    killed([*VISTO, *command(out, "--learning-curve")], lambda: len(list(tmp_path.glob("g.run/curve/*.run"))) >= 2)
    assert out.exists()
    assert list(tmp_path.glob("g.run/curve/*.visto"))
    assert run(command(out, "--resume")) == 0
    assert content(out) == content(drawn)
    assert not (tmp_path / "g.run" / "curve").exists()


def test_too_few_images_are_refused_before_the_training(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for k in range(18):
        place = tmp_path / "data" / "ab"[k % 2]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((8, 8), 10 * k, dtype=np.uint8)).save(place / f"{k}.png")
    assert run(["train", str(tmp_path / "data"), "-o", str(tmp_path / "m.visto"), *TINY, "--learning-curve"]) == 2
    assert "at least 16, 8 a class" in capsys.readouterr().err
    assert not (tmp_path / "m.run").exists()


def test_an_ensemble_grows_too(tmp_path: Path) -> None:
    model = visto.train(
        "digits",
        tmp_path / "e.visto",
        model="mlp",
        arguments={"hidden": [8]},
        epochs=1,
        ensemble=2,
        learning_curve=True,
        threads=1,
    )
    assert model.bundle.manifest.model.name == "ensemble"
    assert model.learning_curve is not None
    assert len(model.learning_curve["points"]) == 4


def test_parts_too_go_on_from_what_looked_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shared = {"model": "speedrun", "arguments": {"widths": [8, 16]}, "epochs": 4, "threads": 1}
    losses = iter([1.0, 0.5])
    with monkeypatch.context() as patch:
        patch.setattr("visto.training.second_look._loss", lambda *_: next(losses))
        parent = visto.train("digits", tmp_path / "a.visto", **shared)  # type: ignore[arg-type]
    assert parent.bundle.manifest.model.name == "second_look"
    recipes: list[Recipe] = []
    monkeypatch.setattr("visto.training.growth.carry_out_asked", noting(recipes))
    tuned = visto.train(
        "digits", tmp_path / "b.visto", start_from=parent, epochs=0.1, lr=1e-4, learning_curve=True, threads=1
    )
    assert tuned.learning_curve is not None
    assert min(point["value"] for point in tuned.learning_curve["points"]) > 0.85
    assert {recipe.model.name for recipe in recipes} == {"speedrun"}
    whole = tuned.bundle.manifest.recipe
    assert {(recipe.optimiser, recipe.schedule) for recipe in recipes} == {(whole["optimiser"], whole["schedule"])}


def noting(recipes: list[Recipe], **changes: Any) -> Any:
    """``carry_out_asked`` that keeps the recipes of the parts, and carries them out with ``changes``."""

    def carried_out(folder: RunFolder, recipe: Recipe, *rest: Any) -> tuple[Bundle, Evaluation]:
        recipes.append(recipe)
        return carry_out_asked(folder, replace(recipe, **changes), *rest)

    return carried_out


@pytest.mark.timeout(120)
def test_parts_pass_as_often_over_their_images_as_a_budget_allowed_the_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipes: list[Recipe] = []
    monkeypatch.setattr("visto.training.growth.carry_out_asked", noting(recipes, epochs=1))
    model = visto.train(
        "digits",
        tmp_path / "g.visto",
        model="mlp",
        arguments={"hidden": [16]},
        budget=4.0,
        learning_curve=True,
        threads=1,
    )
    made, images = model.bundle.manifest.recipe, model.bundle.manifest.data["train"]
    assert model.learning_curve is not None
    assert len(recipes) == 3
    for recipe in recipes:
        assert recipe.budget == 0
        assert round(recipe.epochs * (images // made["batch_size"])) == made["decisions"]["total_steps"]


@pytest.mark.parametrize(
    ("decisions", "epochs"),
    [
        ({}, 0),  # no budget, or only the classifier was to be learnt
        ({"total_steps": -22}, 0),  # no time for more than the classifier
        ({"total_steps": 45}, 4.5),
        ({"total_steps": 10**9}, 100_000),  # as many as a recipe takes
    ],
)
def test_only_where_the_clock_has_decided_its_epochs_are_taken(decisions: dict[str, int], epochs: float) -> None:
    recipe = Recipe(model=Spec(name="mlp"), preprocess=Spec(name="standard"), batch_size=20, repeats=2)
    assert epochs_by_the_clock(recipe, decisions, 100) == epochs
