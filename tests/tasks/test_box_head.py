"""The head of a detector: shapes, scores, calibration, and the same graph when exported."""

import torch
from torch import Tensor

from visto.models.yolo import yolo
from visto.tasks.box_head import BoxHead


def tensors(n: int = 2, places: int = 60, classes: int = 3) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    low = torch.rand(n, places, 2, generator=generator) * 50
    boxes = torch.cat([low, low + 5 + torch.rand(n, places, 2, generator=generator) * 20], 2)
    logits = torch.randn(n, places, classes, generator=generator) * 2
    return {"boxes": boxes, "logits": logits, "objectness": torch.randn(n, places, generator=generator)}


def test_score_is_the_probability_of_an_object_times_that_of_the_class() -> None:
    given = {
        "boxes": torch.tensor([[[1.0, 2.0, 3.0, 4.0]]]),
        "logits": torch.tensor([[[0.0, -30.0]]]),
        "objectness": torch.tensor([[1.0]]),
    }
    out = BoxHead(most=4)(given)
    assert {name: tuple(value.shape) for name, value in out.items()} == {
        "boxes": (1, 4, 4),
        "scores": (1, 4),
        "labels": (1, 4),
    }
    torch.testing.assert_close(out["scores"][0], torch.tensor([0.5 / (1 + torch.e**-1), 0, 0, 0]))
    assert out["boxes"][0, 0].tolist() == [1, 2, 3, 4] and out["labels"][0].tolist() == [0, 0, 0, 0]


def test_scores_fall_and_the_input_is_left_alone() -> None:
    given = tensors()
    before = {name: value.clone() for name, value in given.items()}
    out = BoxHead()(given)
    assert bool((out["scores"].diff() <= 0).all())
    assert all(torch.equal(given[name], before[name]) for name in given)


def test_calibration_moves_scores_but_neither_order_nor_padding() -> None:
    plain, moved = BoxHead()(tensors()), BoxHead(temperature=2.0, shift=-1.0)(tensors())
    assert torch.equal(plain["boxes"], moved["boxes"]) and torch.equal(plain["labels"], moved["labels"])
    real = plain["scores"] > 0
    expected = (plain["scores"][real].logit() / 2 - 1).sigmoid()
    torch.testing.assert_close(moved["scores"][real], expected, rtol=1e-3, atol=1e-5)
    assert not moved["scores"][~real].any() and bool((~real).any())


def test_net_and_head_are_one_graph_when_exported() -> None:
    """What torch.export writes down (and ONNX with it) finds the same boxes."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(yolo(classes=3, channels=1, size=[64, 96]), BoxHead(most=20, candidates=50)).eval()
    images = torch.rand(1, 1, 64, 96)
    with torch.no_grad():
        expected = model(images)
        found = torch.export.export(model, (images,)).module()(images)
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value)
