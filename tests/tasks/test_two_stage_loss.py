"""What the two looks are taught, on cases made by hand."""

import math

import pytest
import torch
from torch import nn

from visto.errors import UsageError
from visto.models.faster_rcnn import FasterRCNN, anchors, faster_rcnn
from visto.ops.box_offsets import box_offsets
from visto.tasks.detection import Detection
from visto.tasks.two_stage_loss import proposal_loss, recognition_loss, taught, two_stage_loss
from visto.types import Batch

NONE = [-1.0, 0, 0, 0, 0, 0]
CAT, DOG = [0.0, 10.0, 10.0, 40.0, 44.0, 0.0], [1.0, 50.0, 20.0, 80.0, 60.0, 0.0]
EVERYWHERE = [0.0, 0.0, 0.0, 96.0, 96.0, 1.0]


@pytest.fixture
def net() -> FasterRCNN:
    torch.manual_seed(0)
    made = faster_rcnn(classes=2, channels=3, size=[64, 96], width=8, hidden=16)
    assert isinstance(made, FasterRCNN)
    return made


def test_proposals_that_say_what_is_there_have_nothing_to_lose() -> None:
    """One anchor on the cat, one far from it: cross-entropy log 2 each where nothing is said, 0 where all is right."""
    boxes = torch.tensor([CAT[1:5], [70.0, 70.0, 90.0, 90.0]])
    targets = torch.tensor([[CAT]])
    unsure = proposal_loss(torch.zeros(1, 2), torch.zeros(1, 2, 4), boxes, targets)
    assert float(unsure["proposal"]) == pytest.approx(math.log(2)) and float(unsure["proposal_box"]) == 0
    right = proposal_loss(torch.tensor([[30.0, -30.0]]), torch.zeros(1, 2, 4), boxes, targets)
    assert float(right["proposal"]) == pytest.approx(0)


def test_offsets_of_a_proposal_by_hand() -> None:
    """The anchor lies 3 pixels left of the box, a tenth of its width: |0.1| < 1/9, so 0.1² / (2/9), of one anchor."""
    boxes = torch.tensor([[7.0, 10.0, 37.0, 44.0]])
    found = proposal_loss(torch.zeros(1, 1), torch.zeros(1, 1, 4), boxes, torch.tensor([[CAT]]))
    assert float(found["proposal_box"]) == pytest.approx(0.1**2 / (2 / 9), rel=1e-4)


def test_an_ignored_region_is_taught_nothing() -> None:
    boxes = torch.tensor([[10.0, 10.0, 40.0, 40.0]])
    found = proposal_loss(torch.zeros(1, 1), torch.zeros(1, 1, 4), boxes, torch.tensor([[EVERYWHERE]]))
    assert float(found["proposal"]) == float(found["proposal_box"]) == 0
    _, label, _ = taught(boxes[None], torch.tensor([[True]]), torch.tensor([[EVERYWHERE]]))
    assert label.eq(-1).all()


def test_what_the_second_look_is_taught() -> None:
    """Two proposals on the dog, one on nothing, one that is none, and both true boxes themselves."""
    proposed = torch.tensor([[DOG[1:5], [52.0, 20.0, 80.0, 60.0], [0.0, 80.0, 9.0, 90.0], [0.0, 0.0, 0.0, 0.0]]])
    there = torch.tensor([[True, True, True, False]])
    boxes, label, wanted = taught(proposed, there, torch.tensor([[CAT, DOG, NONE]]))
    rows = {
        (int(k), tuple(b.tolist()), tuple(w.tolist()))
        for k, b, w in zip(label[0], boxes[0], wanted[0], strict=True)
        if k > 0
    }
    cat, dog = tuple(CAT[1:5]), tuple(DOG[1:5])
    assert rows == {(1, cat, cat), (2, dog, dog), (2, (52.0, 20.0, 80.0, 60.0), dog)}
    assert boxes[0][label[0] == 0].tolist() == [[0.0, 80.0, 9.0, 90.0]]


def test_the_second_look_by_hand() -> None:
    """Of two boxes that are taught one holds class 1, whose offset is 0.1 of a width off: 1 unit, of loss 1/2."""
    logits = torch.zeros(1, 3, 3)
    label = torch.tensor([[2, 0, -1]])
    goal = torch.zeros(1, 3, 4)
    goal[0, 0, 0] = 0.1
    found = recognition_loss(logits, torch.zeros(1, 3, 2, 4), label, goal)
    assert float(found["class"]) == pytest.approx(math.log(3))
    assert float(found["box"]) == pytest.approx(0.5 / 2)
    # said for the other class it helps nothing, for its own it is right
    said = torch.zeros(1, 3, 2, 4)
    said[0, 0, 0, 0] = 1.0
    assert float(recognition_loss(logits, said, label, goal)["box"]) == pytest.approx(0.5 / 2)
    said[0, 0, 1, 0] = 1.0
    assert float(recognition_loss(logits, said, label, goal)["box"]) == pytest.approx(0)


@pytest.mark.parametrize("rows", [[[CAT, DOG], [NONE, NONE]], [[NONE], [NONE]], [[], []], [[EVERYWHERE], [CAT]]])
def test_every_parameter_is_taught_whatever_the_images_hold(net: FasterRCNN, rows: list[list[list[float]]]) -> None:
    found = two_stage_loss(net.train(), torch.randn(2, 3, 64, 96), torch.tensor(rows).reshape(2, -1, 6))
    assert found.each is not None and tuple(found.each.shape) == (2,) and bool(found.total.isfinite())
    torch.testing.assert_close(found.total, found.each.mean())
    torch.testing.assert_close(found.total.detach(), sum(found.parts.values(), torch.tensor(0.0)))
    assert set(found.parts) == {"proposal", "proposal_box", "class", "box"}
    found.total.backward()  # type: ignore[no-untyped-call]
    for name, parameter in net.named_parameters():
        assert parameter.grad is not None and bool(parameter.grad.isfinite().all()), name


def test_an_image_without_weight_does_not_count(net: FasterRCNN) -> None:
    images, targets = torch.randn(2, 3, 64, 96), torch.tensor([[CAT], [DOG]])
    torch.manual_seed(1)
    both = two_stage_loss(net.eval(), images, targets)
    torch.manual_seed(1)
    first = two_stage_loss(net.eval(), images, targets, torch.tensor([2.0, 0.0]))
    assert both.each is not None
    torch.testing.assert_close(first.total, both.each[0])


def test_the_task_teaches_it_so(net: FasterRCNN) -> None:
    batch = Batch(
        inputs={"images": torch.randn(1, 3, 64, 96)}, targets=torch.tensor([[CAT]]), rows=torch.tensor([0]), views=()
    )
    assert "proposal" in Detection(classes=("cat", "dog")).loss(net, batch).parts


def test_it_learns_one_picture_by_heart(net: FasterRCNN) -> None:
    """A white square on black: after some steps it is found, and nothing of the other class."""
    images = torch.full((1, 3, 64, 96), -1.0)
    images[:, :, 16:48, 32:64] = 1.0
    targets = torch.tensor([[[1.0, 32.0, 16.0, 64.0, 48.0, 0.0]]])
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 0.2  # so few steps: its averages must follow
    optimiser = torch.optim.AdamW(net.parameters(), 3e-3)
    for _ in range(60):
        optimiser.zero_grad()
        two_stage_loss(net.train(), images, targets).total.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    task = Detection(classes=("cat", "dog"))
    with torch.no_grad():
        answer = task.answers(task.head(net.eval()(images)), ())[0].value
    assert answer.scores is not None and answer.labels[0] == 1 and answer.scores[0] > 0.5
    assert torch.allclose(answer.xyxy[0], targets[0, 0, 1:5], atol=3)
    assert answer.labels[answer.scores > 0.5].eq(1).all()


@pytest.mark.parametrize("proposals", [0, 601, 50.5])
def test_a_number_of_proposals_that_cannot_be(proposals: int) -> None:
    with pytest.raises(UsageError, match="proposals"):
        faster_rcnn(classes=2, channels=3, size=[64, 96], proposals=proposals)


def test_frozen_stages_stay_as_they_are() -> None:
    net = faster_rcnn(classes=2, channels=3, size=[64, 96], width=8, hidden=16)
    assert isinstance(net, FasterRCNN)
    net.freeze(4)
    before = {name: value.clone() for name, value in net.backbone[:4].state_dict().items()}
    two_stage_loss(net.train(), torch.randn(2, 3, 64, 96), torch.tensor([[CAT], [DOG]])).total.backward()  # type: ignore[no-untyped-call]
    assert all(torch.equal(value, before[name]) for name, value in net.backbone[:4].state_dict().items())
    assert all(p.grad is None for p in net.backbone[:4].parameters())
    assert all(p.grad is not None for p in net.backbone[4:].parameters())


def test_anchors_lie_around_their_places() -> None:
    boxes = anchors([64, 96])
    middles = (boxes[:, :2] + boxes[:, 2:]) / 2
    assert middles[:3].tolist() == [[4.0, 4.0]] * 3 and middles[-1].tolist() == [96.0, 32.0]
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    assert sorted(set(areas.round().tolist())) == [32.0**2, 64.0**2, 128.0**2, 256.0**2]
    assert box_offsets(boxes, boxes).abs().max() == 0
