"""The steps of the table in an exported graph: the pixels that ``Fit`` gives, from any batch of any size."""

import pytest
import torch
import torch.nn.functional as F
from onnx import ModelProto
from torch import Tensor

from visto.errors import GateError
from visto.exporting.graph import entry
from visto.prediction.runtime import session
from visto.preprocess import STEPS, Fit
from visto.types import Size

SIZE = Size(height=24, width=32)
# in chains, for each graph takes seconds
CHAINS = {
    "brightness=1.3,gray-world,clahe=2:4,blur": 3,
    "white-patch=98,saturation=1.8,equalize,sharpen": 1,
    "contrast=1.6,gamma=0.7,median,gray,sobel": 3,
    "adaptive=7:2,blur=0.5,otsu": 3,
}
REFUSED = "canny"


def photos(count: int, height: int, width: int, seed: int) -> Tensor:
    """uint8 N×H×W×3: soft shapes, with noise in the right half."""
    random = torch.Generator().manual_seed(seed)
    soft = F.interpolate(torch.rand(count, 3, 5, 5, generator=random) * 255, size=(height, width), mode="bilinear")
    soft[..., width // 2 :] += torch.randn(count, 3, height, width - width // 2, generator=random) * 30
    return soft.clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).contiguous()


def fitted(graph: ModelProto, *batches: Tensor) -> list[Tensor]:
    found = session(graph, 1)
    return [torch.from_numpy(found.run(["fitted"], {"images": batch.numpy()})[0]) for batch in batches]


def test_the_chains_have_every_step() -> None:
    names = {step.partition("=")[0] for chain in CHAINS for step in chain.split(",")}
    assert names | {REFUSED} == set(STEPS)


@pytest.mark.parametrize("chain", CHAINS)
def test_a_graph_gives_the_pixels_of_torch(chain: str) -> None:
    fit = Fit(size=SIZE, channels=CHAINS[chain], prepare=chain.split(","))
    sizes = [(1, 40, 61), (3, 24, 32), (1, 9, 100), (3, 90, 70)]
    batches = [photos(*size, seed) for seed, size in enumerate(sizes)]
    for batch, found in zip(batches, fitted(entry(fit), *batches), strict=True):
        expected = fit(batch.permute(0, 3, 1, 2))
        assert found.shape == expected.shape
        assert int((found.int() - expected.int()).abs().max()) == 0


def test_a_step_without_a_form_is_named() -> None:
    with pytest.raises(GateError, match=r"^the step 'canny=50:100:1' has no ONNX form"):
        entry(Fit(size=SIZE, channels=3, prepare=["gray", "canny"]))
