"""The loss of a detector, on cases made by hand."""

import pytest
import torch
from torch import Tensor

from visto.models.yolo import places, yolo
from visto.tasks.box_loss import detection_loss, paired_giou
from visto.types import Loss

SIZE = (64, 96)
centres, strides = places(SIZE)
A = len(centres)
NONE = [-1.0, 0, 0, 0, 0, 0]
CAT, DOG = [0.0, 10.0, 10.0, 40.0, 44.0, 0.0], [1.0, 50.0, 20.0, 80.0, 60.0, 0.0]


def blank(n: int, classes: int = 2) -> dict[str, Tensor]:
    """Each place says: a box of two strides around me, and probably nothing."""
    boxes = torch.cat([centres - strides[:, None], centres + strides[:, None]], 1).repeat(n, 1, 1)
    out = {"boxes": boxes, "logits": torch.full((n, A, classes), -4.0), "objectness": torch.full((n, A), -4.0)}
    return {name: value.requires_grad_() for name, value in out.items()}


def loss(tensors: dict[str, Tensor], *rows: list[list[float]], weights: Tensor | None = None) -> Loss:
    return detection_loss(tensors, torch.tensor(rows), centres, strides, weights)


def test_who_is_right_has_little_to_lose() -> None:
    tensors = {name: value.detach() for name, value in blank(1).items()}
    tensors["objectness"][:] = -12
    wrong = loss(tensors, [CAT, DOG])
    for k, (_, *corners, _) in enumerate((CAT, DOG)):
        inside = ((centres > torch.tensor(corners[:2])) & (centres < torch.tensor(corners[2:]))).all(1)
        tensors["boxes"][0, inside] = torch.tensor(corners)
        # ten places and no more are asked to see it
        middle = (torch.tensor(corners[:2]) + torch.tensor(corners[2:])) / 2
        far = (centres - middle).abs().sum(1) / strides + 1e3 * ~inside
        seen = far.argsort()[:10]
        tensors["objectness"][0, seen] = 12
        tensors["logits"][0, seen] = -12
        tensors["logits"][0, seen, k] = 12
    right = loss(tensors, [CAT, DOG])
    assert float(right.total) < 0.01 < 5 < float(wrong.total)


def test_padding_and_order_change_nothing() -> None:
    tensors = blank(2)
    plain = loss(tensors, [CAT, DOG], [DOG, NONE])
    other = loss(tensors, [NONE, DOG, NONE, CAT], [NONE, NONE, NONE, DOG])
    torch.testing.assert_close(plain.total, other.total)
    torch.testing.assert_close(plain.each, other.each)


def test_an_empty_image_teaches_that_nothing_is_there() -> None:
    tensors = blank(2)
    for given in (torch.tensor([[NONE], [NONE]]), torch.zeros(2, 0, 6)):
        out = detection_loss(tensors, given, centres, strides)
        for value in tensors.values():
            value.grad = None
        out.total.backward()  # type: ignore[no-untyped-call]
        assert bool(out.total.isfinite()) and float(out.total.detach()) > 0
        assert tensors["objectness"].grad is not None and bool((tensors["objectness"].grad > 0).all())
        for name in ("boxes", "logits"):
            gradient = tensors[name].grad
            assert gradient is None or not gradient.any()


def test_parts_add_up_and_images_too() -> None:
    out = loss(blank(3), [CAT, DOG], [DOG, NONE], [NONE, NONE])
    assert out.each is not None and tuple(out.each.shape) == (3,)
    torch.testing.assert_close(out.total, out.each.mean())
    torch.testing.assert_close(out.total.detach(), sum(out.parts.values(), torch.tensor(0.0)))
    assert set(out.parts) == {"box", "class", "objectness"}


def test_an_image_without_weight_does_not_count() -> None:
    tensors = blank(2)
    out = loss(tensors, [CAT], [DOG], weights=torch.tensor([2.0, 0.0]))
    out.total.backward()  # type: ignore[no-untyped-call]
    assert all(value.grad is not None and not value.grad[1].any() for value in tensors.values())
    assert out.each is not None
    torch.testing.assert_close(out.total, out.each[0])


def test_within_an_ignored_box_nothing_is_asked() -> None:
    tensors = blank(1)
    ignored = [*CAT[:5], 1.0]
    loss(tensors, [ignored, DOG]).total.backward()  # type: ignore[no-untyped-call]
    gradient = tensors["objectness"].grad
    assert gradient is not None
    inside = ((centres > torch.tensor(CAT[1:3])) & (centres < torch.tensor(CAT[3:5]))).all(1)
    assert bool((gradient[0, inside] == 0).all()) and bool((gradient[0, ~inside] != 0).all())
    # but what is asked for there is asked for all the same
    again = blank(1)
    loss(again, [ignored, CAT]).total.backward()  # type: ignore[no-untyped-call]
    assert again["objectness"].grad is not None and bool((again["objectness"].grad[0, inside] < 0).any())


def test_the_way_down_is_towards_the_box() -> None:
    tensors = blank(1)
    loss(tensors, [CAT]).total.backward()  # type: ignore[no-untyped-call]
    moved = {name: (value - 0.5 * value.grad).detach() for name, value in tensors.items() if value.grad is not None}
    assert float(loss(moved, [CAT]).total) < float(loss(tensors, [CAT]).total.detach())


@pytest.mark.parametrize("scale", [1e-4, 1e4])
def test_wild_values_stay_finite(scale: float) -> None:
    generator = torch.Generator().manual_seed(0)
    tensors = {name: value.detach() for name, value in blank(1).items()}
    tensors["logits"] = torch.randn(1, A, 2, generator=generator) * scale
    tensors["objectness"] = torch.randn(1, A, generator=generator) * scale
    tensors["boxes"] = tensors["boxes"] * scale
    tensors = {name: value.requires_grad_() for name, value in tensors.items()}
    out = loss(tensors, [CAT, [1.0, 20, 20, 20, 20, 0]])
    out.total.backward()  # type: ignore[no-untyped-call]
    assert bool(out.total.isfinite())
    assert all(value.grad is not None and bool(value.grad.isfinite().all()) for value in tensors.values())


def test_half_precision_is_left_behind() -> None:
    tensors = blank(1)
    plain = loss(tensors, [CAT, DOG])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = loss(tensors, [CAT, DOG])
    assert out.total.dtype == torch.float32
    torch.testing.assert_close(out.total, plain.total)


def test_overlap_is_negative_where_boxes_are_apart() -> None:
    box = torch.tensor([0.0, 0.0, 2.0, 2.0])
    near, far = (paired_giou(box, torch.tensor([x, 0.0, x + 2, 2.0])) for x in (3.0, 9.0))
    assert -1 < float(far) < float(near) < 0


def test_two_images_are_learnt_by_heart() -> None:
    torch.manual_seed(0)
    model = yolo(classes=2, channels=3, size=SIZE)
    images, rows = torch.rand(2, 3, *SIZE) * 0.2, torch.tensor([[CAT, DOG], [DOG, NONE]])
    images[:, :, 20:60, 50:80] += torch.tensor([0.8, 0.1, 0.1]).view(3, 1, 1)
    images[0, :, 10:44, 10:40] += torch.tensor([0.1, 0.1, 0.8]).view(3, 1, 1)
    optimiser = torch.optim.Adam(model.parameters(), lr=3e-3)
    losses = []
    for _ in range(25):
        out = detection_loss(model(images), rows, centres, strides)
        optimiser.zero_grad()
        out.total.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        losses.append(float(out.total.detach()))
    assert losses[-1] < 0.5 * losses[0]
