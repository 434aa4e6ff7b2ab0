"""YOLOX: its shapes, its published weights beside the file that they come from, and their way into training."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from visto.data.decode import decode
from visto.errors import ModelError, UsageError
from visto.models.yolo import SCALES, Yolo, places, yolo
from visto.models.yolox_weights import unfold_batch_norm, yolox_weights
from visto.preprocess import Standard


def published() -> Path:
    """The file of yolo's COCO weights."""
    path = Path(os.environ["VISTO_DATA"]) / "weights" / "yolox_nano_coco.onnx"
    if not path.is_file():
        pytest.skip("the published weights are not on this machine")
    return path


def photos(height: int = 416, width: int = 416) -> Tensor:
    """Three photos that scikit-image brings, uint8."""
    data = pytest.importorskip("skimage.data")
    fit = Standard(size=[height, width], channels=3, mean=[0] * 3, std=[1] * 3).fit
    files = [Path(data.__file__).parent / name for name in ("astronaut.png", "chelsea.png", "coffee.png")]
    return torch.cat([fit(decode(file.read_bytes()).pixels[None]) for file in files])


def calm(model: nn.Module) -> nn.Module:
    """In eval mode, with norms that are not those of a fresh net."""
    generator = torch.Generator().manual_seed(1)
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm2d) and layer.running_mean is not None and layer.running_var is not None:
            layer.running_mean.uniform_(-0.2, 0.2, generator=generator)
            layer.running_var.uniform_(0.5, 1.5, generator=generator)
    return model.eval()


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize(("channels", "height", "width"), [(1, 32, 32), (3, 64, 96), (3, 96, 64)])
def test_shapes(scale: str, channels: int, height: int, width: int) -> None:
    model = yolo(classes=5, channels=channels, size=[height, width], scale=scale).eval()
    images = torch.rand(2, channels, height, width)
    with torch.no_grad():
        out = model(images)
        single = model(images[1:])
    count = height * width * 21 // 1024
    assert {k: tuple(v.shape) for k, v in out.items()} == {
        "boxes": (2, count, 4),
        "logits": (2, count, 5),
        "objectness": (2, count),
    }
    assert all(len(one) == count for one in places([height, width]))
    for name, value in out.items():
        torch.testing.assert_close(value[1:], single[name])


def test_every_weight_is_reached_by_a_gradient() -> None:
    model = yolo(classes=2, channels=3, size=[64, 64])
    out = model(torch.rand(2, 3, 64, 64))
    sum((value.square().mean() for value in out.values()), torch.tensor(0.0)).backward()
    assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in model.parameters())


def test_a_fresh_net_sees_nothing() -> None:
    torch.manual_seed(0)
    with torch.no_grad():
        out = yolo(classes=4, channels=3, size=[64, 64]).eval()(torch.rand(1, 3, 64, 64))
    assert 0.005 < float(out["objectness"].sigmoid().mean()) < 0.02
    assert 0.005 < float(out["logits"].sigmoid().mean()) < 0.02


def test_a_box_is_around_its_place() -> None:
    """Offsets of a half put the middle on the centre of the place, log-sizes of 0 make it one stride wide."""
    model = yolo(classes=1, channels=1, size=[64, 96])
    assert isinstance(model, Yolo)
    for head in model.heads:
        offsets = head.get_submodule("offsets")
        assert isinstance(offsets, nn.Conv2d) and offsets.bias is not None
        nn.init.zeros_(offsets.weight)
        offsets.bias.data = torch.tensor([0.5, 0.5, 0.0, 0.0])
    with torch.no_grad():
        boxes = model.eval()(torch.rand(1, 1, 64, 96))["boxes"][0]
    centres, strides = places([64, 96])
    torch.testing.assert_close(boxes, torch.cat([centres - strides[:, None] / 2, centres + strides[:, None] / 2], 1))


def test_an_image_of_another_size_is_seen_as_by_a_net_of_that_size() -> None:
    model, other = (yolo(classes=2, channels=3, size=size) for size in ([64, 64], [32, 96]))
    other.load_state_dict(model.state_dict())
    images = torch.rand(1, 3, 32, 96)
    with torch.no_grad():
        assert torch.equal(model.eval()(images)["boxes"], other.eval()(images)["boxes"])


@pytest.mark.parametrize("size", [[416, 400], [0, 32], [32]])
def test_other_sizes_are_refused(size: list[int]) -> None:
    with pytest.raises(UsageError) as raised:
        yolo(classes=2, channels=3, size=size)
    assert raised.value.hint
    with pytest.raises(UsageError):
        yolo(classes=2, channels=3, size=[32, 32], scale="huge")


@pytest.mark.shared_data
def test_the_same_boxes_as_the_published_file() -> None:
    """Beside ONNX Runtime on photos: boxes to 0.01 pixels, probabilities to 1e-5."""
    runtime = pytest.importorskip("onnxruntime")
    images = photos()
    model = yolo(classes=80, channels=3, size=[416, 416]).eval()
    model.load_state_dict(yolox_weights(published().read_bytes()))
    with torch.no_grad():
        own = model(images.float() / 255)
    session = runtime.InferenceSession(str(published()))
    feeds = [{"images": image[None].flip(1).float().numpy()} for image in images]
    theirs = torch.cat([torch.from_numpy(session.run(None, feed)[0]) for feed in feeds])
    centres, strides = places([416, 416])
    middle = (theirs[..., :2] - 0.5) * strides[:, None] + centres
    half = theirs[..., 2:4].exp() * strides[:, None] / 2
    torch.testing.assert_close(own["boxes"], torch.cat([middle - half, middle + half], 2), rtol=1e-4, atol=0.01)
    torch.testing.assert_close(own["objectness"].sigmoid(), theirs[..., 4], rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(own["logits"].sigmoid(), theirs[..., 5:], rtol=1e-3, atol=1e-5)
    # an astronaut is a person (0), a cup of coffee a cup (41)
    scores = own["objectness"].sigmoid()[..., None] * own["logits"].sigmoid()
    best = scores.amax(1)
    assert [int(best[0].argmax()), int(best[2].argmax())] == [0, 41]
    assert float(best[0].max()) > 0.8


@pytest.mark.shared_data
def test_norms_are_unfolded_without_another_answer() -> None:
    """In eval mode nothing changes; in training mode the net that was folded is another, the unfolded one the same."""
    images = photos(320, 416).float() / 255
    model = yolo(classes=80, channels=3, size=[320, 416])
    model.load_state_dict(yolox_weights(published().read_bytes()))

    @torch.no_grad()
    def scores(training: bool) -> Tensor:
        kept = {name: value.clone() for name, value in model.state_dict().items()}
        out = model.train(training)(images)
        model.load_state_dict(kept)  # training mode moves the statistics
        found: Tensor = out["objectness"].sigmoid()
        return found

    before, folded = scores(False), scores(True)
    unfold_batch_norm(model.eval(), images)
    torch.testing.assert_close(scores(False), before, rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(scores(True), before, rtol=1e-3, atol=1e-5)
    assert float((folded - before).abs().max()) > 0.1


def test_unfolding_leaves_answers_and_mode_as_they_were() -> None:
    torch.manual_seed(0)
    model = calm(yolo(classes=2, channels=1, size=[64, 64]))
    images = torch.rand(9, 1, 64, 64)
    with torch.no_grad():
        before = model(images)
        unfold_batch_norm(model, images)
        after = model(images)
    assert not model.training
    for name, value in before.items():
        torch.testing.assert_close(after[name], value, rtol=1e-4, atol=1e-4)
    filters = [m.weight.flatten(1) for m in model.modules() if isinstance(m, nn.Conv2d) and m.bias is None]
    lengths = torch.cat([weight.norm(dim=1) for weight in filters])
    torch.testing.assert_close(lengths, torch.ones_like(lengths))


@pytest.mark.shared_data
@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: content[:1000],
        lambda content: content[: len(content) // 2],
        lambda content: content.replace(b"Conv", b"Gemm"),
        lambda content: content[::-1],
    ],
)
def test_a_damaged_file_is_refused(damage: Callable[[bytes], bytes]) -> None:
    with pytest.raises(ModelError):
        yolox_weights(damage(published().read_bytes()))


@given(st.binary(max_size=200))
@settings(deadline=None, max_examples=300)
def test_any_bytes_are_refused_in_words(content: bytes) -> None:
    with pytest.raises(ModelError):
        yolox_weights(content)
    # as the graph of a model
    with pytest.raises(ModelError):
        yolox_weights(bytes([7 << 3 | 2, len(content) & 127 | 128, len(content) >> 7]) + content)
