"""Which places answer for which box, on cases made by hand."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from visto.models.yolo import places
from visto.tasks.box_assignment import Targets, assign, paired_iou

SIZE = (64, 96)
centres, strides = places(SIZE)
A = len(centres)


def targets(*rows: tuple[int, int, float, float, float, float]) -> Targets:
    """Rows of image, label, x0, y0, x1, y1."""
    table = torch.tensor(rows, dtype=torch.float32).view(-1, 6)
    return Targets(image=table[:, 0].long(), label=table[:, 1].long(), xyxy=table[:, 2:])


def blank(n: int = 1, classes: int = 2) -> dict[str, Tensor]:
    """Each place says: a box of one stride around me, nothing sure of anything."""
    boxes = torch.cat([centres - strides[:, None] / 2, centres + strides[:, None] / 2], 1)
    return {"boxes": boxes.repeat(n, 1, 1), "logits": torch.zeros(n, A, classes), "objectness": torch.zeros(n, A)}


def place_at(x: float, y: float, stride: int) -> int:
    return int(((centres - torch.tensor([x, y])).abs().sum(1) + 1e3 * (stride != strides)).argmin())


def test_the_place_whose_box_fits_is_chosen() -> None:
    found = assign(blank(2), targets((1, 0, 32, 16, 40, 24)), centres, strides)
    assert found.place.tolist() == [A + place_at(36, 20, 8)]
    assert found.target.tolist() == [0]
    torch.testing.assert_close(found.overlap, torch.ones(1))


def test_as_many_places_as_overlaps_add_up_to() -> None:
    tensors, box = blank(), (20.0, 20.0, 60.0, 50.0)
    inside = ((centres > torch.tensor(box[:2])) & (centres < torch.tensor(box[2:]))).all(1)
    near = ((centres - torch.tensor([40.0, 35.0])).abs() <= 2.5 * strides[:, None]).all(1)
    tensors["boxes"][0] = torch.tensor(box)  # every place says the same, and is right
    found = assign(tensors, targets((0, 1, *box)), centres, strides)
    assert len(found.place) == 10  # the best overlaps, each 1
    assert bool((inside & near)[found.place].all())


def test_surer_of_the_class_goes_first() -> None:
    tensors = blank()
    tensors["boxes"][0] = torch.tensor([20.0, 20.0, 40.0, 40.0])
    wanted = place_at(28, 28, 8)
    tensors["logits"][0, wanted, 1] = 4
    tensors["objectness"][0, wanted] = 4
    # an overlap of 0.1 each, ten of them: one place
    found = assign(tensors, targets((0, 1, 0, 0, 60, 64)), centres, strides)
    assert found.place.tolist() == [wanted]


def test_a_box_that_holds_no_centre_gets_a_place_near_it() -> None:
    found = assign(blank(), targets((0, 0, 40.5, 24.5, 42, 26)), centres, strides)
    assert len(found.place) == 1
    assert bool((centres[found.place] - torch.tensor([41.0, 25.0])).abs().max() <= 2.5 * strides[found.place])


def test_two_boxes_want_one_place_and_the_one_it_costs_less_gets_it() -> None:
    shared = place_at(36, 36, 8)
    for better in (0, 1):
        tensors = blank()
        tensors["boxes"][0, :] = torch.tensor([0.0, 0.0, 1.0, 1.0])
        rows = [(0, 0, 32.0, 32.0, 40.0, 40.0), (0, 1, 31.0, 31.0, 41.0, 41.0)]
        tensors["boxes"][0, shared] = torch.tensor(rows[better][2:])
        found = assign(tensors, targets(*rows), centres, strides)
        assert found.target[found.place == shared].tolist() == [better]
        assert len(set(found.place.tolist())) == len(found.place)


def test_two_boxes_that_are_one() -> None:
    row = (0, 0, 32.0, 32.0, 40.0, 40.0)
    found = assign(blank(), targets(row, row), centres, strides)
    assert found.target.tolist() == [0]


def test_no_boxes() -> None:
    found = assign(blank(2), targets(), centres, strides)
    assert len(found.place) == len(found.target) == len(found.overlap) == 0


@given(seed=st.integers(0, 10_000), count=st.integers(1, 12))
@settings(deadline=None, max_examples=60)
def test_as_the_paper_has_it_with_every_place_beside_every_box(seed: int, count: int) -> None:
    """The same from a whole table of costs, box by box; each box has a place of its own or lost all to others."""
    generator = torch.Generator().manual_seed(seed)
    tensors = {name: value + torch.randn(value.shape, generator=generator) for name, value in blank().items()}
    tensors["boxes"][..., 2:] = tensors["boxes"][..., :2] + 8 + 40 * torch.rand(1, A, 2, generator=generator)
    low = torch.rand(count, 2, generator=generator) * torch.tensor([70.0, 40.0])
    corners = torch.cat([low, low + 6 + 20 * torch.rand(count, 2, generator=generator)], 1)
    label = torch.randint(0, 2, (count,), generator=generator)
    wanted = Targets(image=torch.zeros(count, dtype=torch.long), label=label, xyxy=corners)
    found = assign(tensors, wanted, centres, strides)

    costs = torch.full((count, A), torch.inf)
    for row, (box, k) in enumerate(zip(corners, label.tolist(), strict=True)):
        middle = (box[:2] + box[2:]) / 2
        near = ((centres - middle).abs() < 2.5 * strides[:, None]).all(1)
        inside = ((centres > box[:2]) & (centres < box[2:])).all(1)
        fits = near & inside if bool((near & inside).any()) else near
        overlap = paired_iou(tensors["boxes"][0], box)
        score = (tensors["logits"][0].sigmoid() * tensors["objectness"][0].sigmoid()[:, None]).sqrt()
        truth = torch.nn.functional.one_hot(torch.tensor(k), 2).float().expand(A, 2)
        entropy = torch.nn.functional.binary_cross_entropy(score, truth, reduction="none").sum(1)
        cost = torch.where(fits, entropy - 3 * (overlap + 1e-8).log(), torch.inf)
        ten = (overlap * (near & inside)).sort(descending=True).values[:10]
        order = cost.argsort()[: max(1, int(ten.sum()))]
        costs[row, order] = cost[order]
    best = costs.min(0)
    expected = {(place, int(best.indices[place])) for place in range(A) if best.values[place] < torch.inf}
    assert set(zip(found.place.tolist(), found.target.tolist(), strict=True)) == expected
