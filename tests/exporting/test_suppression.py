"""Non-maximum suppression in an exported graph beside our own."""

import pytest
import torch
from torch import Tensor, nn

from visto.exporting.graph import as_onnx
from visto.ops.nms import nms
from visto.prediction.runtime import session


class Suppressing(nn.Module):
    def forward(self, boxes: Tensor, scores: Tensor) -> tuple[Tensor, ...]:
        return nms(boxes, scores, threshold=0.65, most=40, candidates=200, least=0.1)


@pytest.fixture(scope="module")
def crowd() -> tuple[Tensor, Tensor]:
    """Four images of 200 places and three classes: crowded ones, one with a long chain of doubts, one with nothing."""
    random = torch.Generator().manual_seed(0)
    low = torch.rand(4, 200, 2, generator=random) * 8
    boxes = torch.cat([low, low + 1 + torch.rand(4, 200, 2, generator=random) * 4], 2)
    scores = torch.rand(4, 200, 3, generator=random)
    x = torch.arange(200.0)[:, None]  # each is over the next: every second of them goes
    boxes[2] = torch.cat([x, torch.zeros(200, 1), x + 5, torch.ones(200, 1)], 1)
    scores[2] = torch.linspace(0.9, 0.2, 200)[:, None] * torch.tensor([0.0, 1.0, 0.0])
    scores[3] = 0.05
    return boxes, scores


def test_the_same_boxes_stay(crowd: tuple[Tensor, Tensor]) -> None:
    given = dict(zip(("boxes", "scores"), crowd, strict=True))
    sides = {name: {0: "n"} for name in given}
    graph = as_onnx(Suppressing(), given, sides, ["kept", "chances", "labels"], "the boxes")
    assert "NonMaxSuppression" in {node.op_type for node in graph.graph.node}
    for some in (slice(0, 4), slice(2, 3)):
        expected = Suppressing()(*(value[some] for value in crowd))
        found = session(graph).run(
            ["kept", "chances", "labels"], {name: value[some].numpy() for name, value in given.items()}
        )
        for ours, theirs in zip(expected, found, strict=True):
            assert torch.equal(ours, torch.from_numpy(theirs))
    _, chances, _ = Suppressing()(*crowd)
    assert (chances > 0).sum(1).tolist()[2:] == [40, 0]
