"""What regions of images hold, by hand; the machines and the moves that are fitted to what is said of them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge
from torch import Tensor

from visto.learn.machines import Machine, fit_machine, fit_offsets
from visto.learn.regions import Regions, covered, regions_of
from visto.ops.box_offsets import box_offsets

CAT, DOG = [0.0, 0.0, 0.0, 10.0, 10.0, 0.0], [1.0, 20.0, 20.0, 40.0, 40.0, 0.0]
NONE, SPARED = [-1.0, 0, 0, 0, 0, 0], [0.0, 50.0, 50.0, 60.0, 60.0, 1.0]


def boxes(*rows: list[float]) -> Tensor:
    return torch.tensor(rows).reshape(-1, 4)


def test_what_regions_hold_by_hand() -> None:
    """Two images: a cat and a dog with three proposals, one of them in what is ignored; nothing, with one proposal."""
    proposed = [boxes([0, 0, 10, 6], [20, 20, 40, 30], [51, 51, 60, 60]), boxes([1, 1, 5, 5])]
    found = regions_of(proposed, torch.tensor([[CAT, DOG, SPARED], [NONE, NONE, NONE]]), 2)
    assert found.image.tolist() == [0, 0, 0, 0, 1]  # two proposals and both things; the other image's proposal
    assert found.true.tolist() == [False, False, True, True, False]
    assert torch.allclose(found.overlap, torch.tensor([0.6, 0.5, 1.0, 1.0, 0.0]))
    assert found.label.tolist() == [0, 1, 0, 1, -1]
    assert torch.allclose(found.overlaps[:, 1], torch.tensor([0.0, 0.5, 0.0, 1.0, 0.0]))
    assert found.thing[1].tolist() == [20, 20, 40, 40] and found.thing[4].tolist() == [1, 1, 5, 5]
    assert covered(found) == 1.0
    assert found.rows_of(1).tolist() == [4]


def test_small_regions_within_what_is_ignored_are_left_out() -> None:
    """What lies in a crowd is no example of nothing; a cat that lies there is one of a cat all the same."""
    crowd, cat = [1.0, 0.0, 0.0, 100.0, 50.0, 2.0], [0.0, 10.0, 10.0, 20.0, 20.0, 0.0]
    proposed = boxes([60, 5, 70, 15], [10, 10, 20, 19], [60, 45, 70, 65])
    found = regions_of([proposed], torch.tensor([[crowd, cat]]), 2)
    assert found.box.tolist() == [[10, 10, 20, 19], [60, 45, 70, 65], [10, 10, 20, 20]]
    assert found.label.tolist() == [0, -1, 0]
    nothing = regions_of([boxes([60, 5, 70, 15])], torch.tensor([[crowd]]), 2)
    assert len(nothing) == 0


def test_two_things_of_one_box_are_two() -> None:
    dog = [1.0, *CAT[1:]]
    found = regions_of([torch.zeros(0, 4)], torch.tensor([[CAT, dog]]), 2)
    assert found.label.tolist() == [0, 1]
    assert found.overlaps.tolist() == [[1, 1], [1, 1]]


def test_things_that_no_region_covers_count() -> None:
    found = regions_of([boxes([0, 0, 10, 4]), torch.zeros(0, 4)], torch.tensor([[CAT, NONE], [DOG, NONE]]), 2)
    assert covered(found) == 0.0


def made(features: Tensor, overlaps: list[float], true: int) -> Regions:
    """Regions of one class; the last ``true`` of them are the things themselves."""
    n = len(features)
    overlap = torch.tensor(overlaps)
    box = torch.tensor([[0.0, 0.0, 10.0, 10.0]]).repeat(n, 1)
    return Regions(
        image=torch.zeros(n, dtype=torch.int64),
        box=box,
        overlap=overlap,
        label=torch.where(overlap > 0, 0, -1),
        thing=box + torch.rand(n, 4, generator=torch.Generator().manual_seed(0)),
        overlaps=overlap[:, None],
        true=torch.arange(n) >= n - true,
    )


def fitted(features: Tensor, regions: Regions, folder: Path) -> Machine:
    *_, last = fit_machine(features, regions, 0, seed=0, threads=1, folder=folder)
    assert isinstance(last, Machine)
    return last


def test_hard_examples_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Easy ones lie far off, a few hard ones beside the things: a machine that has only seen the easy ones errs."""
    monkeypatch.setattr("visto.learn.machines._FIRST", 50)
    monkeypatch.setattr("visto.learn.machines._C", 1.0)  # so few examples, and two features
    random = np.random.default_rng(0)
    easy, hard = random.normal([-20, 0], 1, (5000, 2)), random.normal([12, 0], 1, (100, 2))
    things = random.normal([20, 0], 1, (100, 2))
    features = torch.from_numpy(np.concatenate([easy, hard, things])).float()
    regions = made(features, [0.0] * 5100 + [1.0] * 100, 100)
    machine = fitted(features, regions, tmp_path / "fit")
    scores = features @ machine.weight + machine.bias
    assert machine.rounds > 1 and machine.things == 100 and 100 < machine.others < 1000
    assert (scores[5000:5100] < 0).float().mean() > 0.9 and (scores[5100:] > 0).float().mean() > 0.9


def test_a_class_without_examples_says_nothing(tmp_path: Path) -> None:
    machine = fitted(torch.rand(5, 3), made(torch.rand(5, 3), [0.0] * 5, 0), tmp_path / "fit")
    assert not machine.weight.any() and machine.bias < -50 and machine.rounds == 0


def test_moves_are_those_of_ridge_regression(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("visto.learn.machines._RIDGE", 3.0)
    features = torch.randn(60, 5, generator=torch.Generator().manual_seed(1))
    regions = made(features, [0.7] * 40 + [0.5] * 10 + [1.0] * 10, 10)
    weight, bias, near = fit_offsets(features, regions, 0)
    goal = box_offsets(regions.thing, regions.box)[:40]
    theirs: Any = Ridge(alpha=3.0).fit(features[:40].double().numpy(), goal.double().numpy())
    assert near == 40
    np.testing.assert_allclose(weight, theirs.coef_, atol=1e-5)
    np.testing.assert_allclose(bias, theirs.intercept_, atol=1e-5)
