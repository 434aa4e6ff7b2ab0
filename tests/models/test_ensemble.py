"""An ensemble is the mean of its members' scores, as logits, and a model like any other."""

import json
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from visto.errors import UsageError
from visto.models import build_model
from visto.models.ensemble import Ensemble, blended, log_scores
from visto.spec import Spec

SHAPE: dict[str, Any] = {"classes": 3, "channels": 1, "size": [8, 8]}
MEMBERS = [{"name": "mlp", "arguments": {"hidden": [4]}}, {"name": "cnn", "arguments": {"depth": 1, "width": 4}}]


def built(**arguments: Any) -> Ensemble:
    torch.manual_seed(0)
    model = build_model(Spec(name="ensemble", arguments={**SHAPE, "members": MEMBERS, **arguments})).eval()
    assert isinstance(model, Ensemble)
    return model


def members_of(model: Ensemble, images: Tensor) -> list[Tensor]:
    return [member(images)["logits"] for member in model.members]


def test_scores_are_the_weighted_mean_of_the_members_scores() -> None:
    model, images = built(weights=[3, 1]), torch.randn(5, 1, 8, 8)
    with torch.no_grad():
        first, second = (logits.softmax(1) for logits in members_of(model, images))
        assert torch.allclose(model(images)["logits"].softmax(1), 0.75 * first + 0.25 * second, atol=1e-6)


def test_classes_for_themselves_are_averaged_each_for_itself() -> None:
    model, images = built(weights=[0.25, 0.75], blend="sigmoid"), torch.randn(5, 1, 8, 8)
    with torch.no_grad():
        first, second = (logits.sigmoid() for logits in members_of(model, images))
        assert torch.allclose(model(images)["logits"].sigmoid(), 0.25 * first + 0.75 * second, atol=1e-6)


def test_no_weights_are_equal_weights() -> None:
    assert built().shares.tolist() == [0.5, 0.5]


@pytest.mark.parametrize("blend", ["softmax", "sigmoid"])
def test_each_member_is_softened_by_its_own_temperature(blend: str) -> None:
    model, images = built(temperatures=[0.25, 2], blend=blend), torch.randn(5, 1, 8, 8)
    scores = (lambda z: z.softmax(1)) if blend == "softmax" else torch.sigmoid
    with torch.no_grad():
        first, second = members_of(model, images)
        mean = (scores(first / 0.25) + scores(second / 2)) / 2
        assert torch.allclose(scores(model(images)["logits"]), mean, atol=1e-6)
    assert not any("temperatures" in name for name in model.state_dict())


@pytest.mark.parametrize("blend", ["softmax", "sigmoid"])
def test_bundles_without_temperatures_answer_as_they_did(blend: str) -> None:
    images = torch.randn(5, 1, 8, 8)
    with torch.no_grad():
        old = built(weights=[3, 1], blend=blend)
        before = blended(log_scores(torch.stack(members_of(old, images)), blend), torch.tensor([0.75, 0.25]))
        assert torch.equal(old(images)["logits"], before)


def test_a_member_may_look_twice() -> None:
    plain = {"name": "mlp", "arguments": {"hidden": [4]}}
    members = [{"name": "second_look", "arguments": {"model": plain, "margin": 0.5, "mirror": True}}, plain]
    model = built(members=members)
    names = {".".join(name.split(".")[:3]) for name in model.state_dict()}
    assert any(name.startswith("members.0.model") for name in names)
    assert not any(name.startswith("members.1.model") for name in names)
    assert tuple(model(torch.zeros(2, 1, 8, 8))["logits"].shape) == (2, 3)


@pytest.mark.parametrize("blend", ["softmax", "sigmoid"])
def test_one_member_alone_is_itself(blend: str) -> None:
    logits = 5 * torch.randn(1, 6, 4)
    found = blended(log_scores(logits, blend), torch.ones(1))
    scores = (lambda z: z.softmax(1)) if blend == "softmax" else torch.sigmoid
    assert torch.allclose(scores(found), scores(logits[0]), atol=1e-6)


@settings(deadline=None, max_examples=50)
@given(
    st.lists(st.floats(-1000, 1000, width=32), min_size=6, max_size=6),
    st.floats(0.01, 0.99),
    st.sampled_from(["softmax", "sigmoid"]),
)
def test_the_surest_members_give_finite_logits(values: list[float], share: float, blend: str) -> None:
    logits = torch.tensor(values).view(2, 1, 3)
    found = blended(log_scores(logits, blend), torch.tensor([share, 1 - share]))
    assert bool(found.isfinite().all())
    double = logits.double()
    exact = double.softmax(2) if blend == "softmax" else double.sigmoid()
    mean = share * exact[0] + (1 - share) * exact[1]
    scores = found.softmax(1) if blend == "softmax" else found.sigmoid()
    assert torch.allclose(scores.double(), mean, atol=1e-5)


def test_a_bundle_can_store_it() -> None:
    spec: Spec[Any] = Spec(name="ensemble", arguments={**SHAPE, "members": MEMBERS, "weights": [0.9, 0.1]})
    again: Spec[Any] = Spec.from_json(json.loads(json.dumps(spec.to_json())))
    model, twin = build_model(spec), build_model(again)
    twin.load_state_dict(model.state_dict())
    assert {name.split(".")[0] for name in model.state_dict()} == {"members"}
    assert {name.split(".")[1] for name in model.state_dict()} == {"0", "1"}
    images = torch.randn(3, 1, 8, 8)
    with torch.no_grad():
        assert torch.equal(model.eval()(images)["logits"], twin.eval()(images)["logits"])


def test_the_classes_are_the_ensembles() -> None:
    stale = [{"name": "mlp", "arguments": {"hidden": [4], "classes": 9, "channels": 3, "size": [4, 4]}}]
    assert tuple(built(members=stale)(torch.zeros(2, 1, 8, 8))["logits"].shape) == (2, 3)


@pytest.mark.parametrize(
    "arguments",
    [
        {"weights": [1.0]},
        {"weights": [1.0, 0.0]},
        {"weights": [2.0, -1.0]},
        {"temperatures": [1.0]},
        {"temperatures": [1.0, 0.0]},
        {"members": []},
        {"blend": "median"},
    ],
)
def test_what_makes_no_mean_is_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        built(**arguments)
