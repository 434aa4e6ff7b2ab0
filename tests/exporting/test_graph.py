"""The exported graph, run by onnxruntime, against the same recogniser in torch."""

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from onnx import ModelProto

from tests.exporting.bundles import bundle
from visto.bundle import FITTED, IMAGES
from visto.errors import GateError
from visto.exporting.entry import Entry
from visto.exporting.graph import as_onnx, body, whole
from visto.prediction import TorchRecogniser
from visto.prediction.runtime import between, session
from visto.preprocess import Fit
from visto.types import Size

CROPS = ("whole", "middle", "letterbox")
SIZES = ((16, 24), (37, 51), (1, 1), (90, 7), (24, 16))


def images(n: int, height: int, width: int, seed: int = 0) -> torch.Tensor:
    """uint8 N×H×W×3 of soft blobs with noise on them."""
    random = torch.Generator().manual_seed(seed)
    soft = torch.nn.functional.interpolate(torch.rand(n, 3, 3, 3, generator=random), size=(height, width))
    return (soft * 200 + 55 * torch.rand(n, 3, height, width, generator=random)).byte().permute(0, 2, 3, 1).contiguous()


def decoded(images_nhwc: torch.Tensor) -> torch.Tensor:
    return images_nhwc.permute(0, 3, 1, 2)


def answers_of(graph: ModelProto, images_nhwc: torch.Tensor) -> dict[str, np.ndarray[Any, Any]]:
    names = [value.name for value in graph.graph.output]
    return dict(zip(names, session(graph).run(names, {IMAGES: images_nhwc.numpy()}), strict=True))


@settings(max_examples=60, deadline=None)
@given(
    height=st.integers(1, 70),
    width=st.integers(1, 70),
    size=st.sampled_from([(16, 24), (41, 50)]),
    crop=st.sampled_from(CROPS),
    channels=st.sampled_from([1, 3]),
    seed=st.integers(0, 99),
)
@example(height=600, width=2, size=(41, 50), crop="letterbox", channels=3, seed=0)
@example(height=3, width=700, size=(41, 50), crop="letterbox", channels=1, seed=0)
@example(height=300, width=401, size=(41, 50), crop="middle", channels=3, seed=0)
@example(height=201, width=300, size=(41, 50), crop="whole", channels=3, seed=0)
def test_the_entry_makes_the_pixels_of_fit(
    height: int, width: int, size: tuple[int, int], crop: str, channels: int, seed: int
) -> None:
    fit = Fit(size=Size(height=size[0], width=size[1]), channels=channels, crop=crop)
    given_images = images(2, height, width, seed)
    found = Entry(fit)(given_images)
    apart = (found["fitted"].int() - fit(decoded(given_images)).int()).abs()
    assert int(apart.max()) <= 1  # one in a thousand images has a pixel whose sum in floats is rounded otherwise
    assert int(apart.sum()) <= 3
    view = fit.view(Size(height=height, width=width)).to_original
    place = found["place"].tolist()
    assert place[:4] == pytest.approx([float(view[0, 0]), float(view[1, 1]), float(view[0, 2]), float(view[1, 2])])
    assert place[4:] == [width, height]


@pytest.mark.parametrize("crop", CROPS)
def test_a_classifier_of_images_of_any_size(tmp_path: Path, crop: str) -> None:
    made = bundle(tmp_path / "a.visto", "cnn", crop=crop, arguments={"depth": 1, "width": 4})
    recogniser = TorchRecogniser(made)
    graph = whole(recogniser, body(recogniser, "cnn"))
    assert [value.name for value in graph.graph.output] == ["scores"]
    for n, (height, width) in enumerate(SIZES, 1):
        given_images = images(n, height, width)
        expected = recogniser.tensors(recogniser.fit(decoded(given_images)))["scores"]
        assert answers_of(graph, given_images)["scores"] == pytest.approx(expected.numpy(), abs=1e-5)


@pytest.mark.parametrize("name", ["rnn", "lstm", "gru", "attention"])
@pytest.mark.parametrize("pool", ["last", "mean"])
def test_an_image_that_is_read_row_by_row(tmp_path: Path, name: str, pool: str) -> None:
    layers = {"layers": 2, "hidden": 8, "pool": pool, **({} if name == "attention" else {"bidirectional": True})}
    recogniser = TorchRecogniser(bundle(tmp_path / "a.visto", name, size=(3, 8), arguments=layers))
    graph = whole(recogniser, body(recogniser, name))
    for n in (1, 3):
        given_images = images(n, 3, 8)
        expected = recogniser.tensors(recogniser.fit(decoded(given_images)))["scores"]
        assert answers_of(graph, given_images)["scores"] == pytest.approx(expected.numpy(), abs=1e-5)


def test_boxes_are_in_pixels_of_the_image_that_was_given(tmp_path: Path) -> None:
    made = bundle(
        tmp_path / "a.visto", "yolo", task="detection", size=(64, 96), crop="letterbox", head={"threshold": 0.0}
    )
    recogniser = TorchRecogniser(made)
    graph = whole(recogniser, body(recogniser, "yolo"))
    for n, (height, width) in enumerate(((50, 100), (64, 96), (200, 30)), 1):
        given_images = images(n, height, width)
        view = recogniser.fit.view(Size(height=height, width=width))
        ours = recogniser.answers(recogniser.fit(decoded(given_images)), [view] * n)
        found = {name: torch.from_numpy(value) for name, value in answers_of(graph, given_images).items()}
        for a, b in zip(ours, recogniser.task.answers(found, ()), strict=True):
            alike = recogniser.task.alike(a, b, overlap=0.98, within=0.001, least=0.05)
            assert alike.of > 0
            assert alike.same == alike.of


def test_a_border_of_zeros_is_the_convolution_s_own() -> None:
    """A node of its own for it is carried out in floats, between conversions, where all else is in whole numbers."""
    net = torch.nn.Sequential(torch.nn.ZeroPad2d((0, 1, 0, 2)), torch.nn.Conv2d(3, 4, 3, stride=2, padding=1)).eval()
    given_images = torch.rand(2, 3, 8, 10)
    graph = as_onnx(net, {"x": given_images}, {"x": {0: "n"}}, ["y"], "the net")
    assert [node.op_type for node in graph.graph.node] == ["Conv"]
    (found,) = session(graph).run(["y"], {"x": given_images.numpy()})
    assert found == pytest.approx(net(given_images).detach().numpy(), abs=1e-6)


def test_the_body_alone_is_cut_out_of_the_whole(tmp_path: Path) -> None:
    recogniser = TorchRecogniser(bundle(tmp_path / "a.visto", "mlp", arguments={"hidden": [8]}))
    graph = whole(recogniser, body(recogniser, "mlp"))
    part = between(graph, [FITTED], ["scores"])
    fitted = recogniser.fit(decoded(images(3, 30, 40)))
    found = session(part).run(["scores"], {FITTED: fitted.numpy()})[0]
    assert found == pytest.approx(recogniser.tensors(fitted)["scores"].numpy(), abs=1e-6)


def test_the_graph_says_nothing_of_this_machine(tmp_path: Path) -> None:
    recogniser = TorchRecogniser(bundle(tmp_path / "a.visto", "mlp", arguments={"hidden": [8]}))
    content = whole(recogniser, body(recogniser, "mlp")).SerializeToString()
    assert str(Path(onnxruntime.__file__).parents[1]).encode() not in content
    assert b".py" not in content


def test_a_model_without_a_form_is_named(tmp_path: Path) -> None:
    pytest.importorskip("skimage")
    small = {"proposals": 20, "side": 32}
    made = bundle(tmp_path / "a.visto", "rcnn", task="detection", size=(32, 32), arguments=small)
    with pytest.raises(GateError, match="the model 'rcnn' has no ONNX form"):
        body(TorchRecogniser(made), "rcnn")


def test_a_constant_that_keeps_zero_by_zero_away_stays(tmp_path: Path) -> None:
    """The exporter's own rules take x + 1e-10 for x."""
    made = bundle(tmp_path / "a.visto", "logistic", size=(32, 32), arguments={"features": ["hog"]})
    recogniser = TorchRecogniser(made)
    part = body(recogniser, "logistic")
    flat = torch.full((2, 3, 32, 32), 99, dtype=torch.uint8)
    found = session(part).run(["scores"], {FITTED: flat.numpy()})[0]
    assert found == pytest.approx(recogniser.tensors(flat)["scores"].numpy(), abs=1e-6)
