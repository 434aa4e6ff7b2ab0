"""Pretrained weights: found, checked, renamed; and that photos are recognised with them as published."""

import io
import os
from pathlib import Path

import pytest
import torch
from torch import nn

from visto.data.decode import decode
from visto.errors import ModelError, ResourceError, UsageError
from visto.models import build_model, weights
from visto.models.weights import WEIGHTS, find, load
from visto.preprocess import Standard
from visto.spec import Spec
from visto.types import Silent

NAME = "efficientnet_lite0"


def model_of(name: str) -> nn.Module:
    model = build_model(Spec(name=name, arguments={"classes": 1000, "channels": 3, "size": [224, 224]}))
    model.load_state_dict(load(name, Silent()), strict=False)
    return model.eval()


def answer(model: nn.Module, content: bytes) -> list[int]:
    """The five best ImageNet classes of an encoded image."""
    known = WEIGHTS[NAME]
    ready = Standard(size=[224, 224], channels=3, mean=known.mean, std=known.std, crop="middle")
    with torch.no_grad():
        logits = model(ready(decode(content, at_least=ready.fit.at_least).pixels[None]))["logits"]
    best: list[int] = logits[0].topk(5).indices.tolist()
    return best


def test_every_published_tensor_finds_its_place() -> None:
    model = build_model(Spec(name=NAME, arguments={"classes": 1000, "channels": 3, "size": [224, 224]}))
    own = model.state_dict()
    published = load(NAME, Silent())
    assert {k for k in own if not k.endswith("num_batches_tracked")} == set(published)
    assert all(own[k].shape == v.shape for k, v in published.items())


@pytest.mark.parametrize(
    ("photo", "classes"),
    # tabby, tiger cat, Egyptian cat; espresso, cup, coffee mug; missile, projectile
    [("chelsea.png", {281, 282, 285}), ("coffee.png", {967, 968, 504}), ("rocket.jpg", {657, 744})],
)
def test_known_photos_are_recognised(photo: str, classes: set[int]) -> None:
    data = pytest.importorskip("skimage.data")
    content = (Path(data.__file__).parent / photo).read_bytes()
    assert answer(model_of(NAME), content)[0] in classes


@pytest.mark.shared_data
def test_ants_and_bees_are_recognised_among_a_thousand_classes() -> None:
    """Both are classes of ImageNet; without the right padding, mean and order of channels it is about half."""
    folder = Path(os.environ["VISTO_DATA"]) / "hymenoptera" / "val"
    model, right, total = model_of(NAME), 0, 0
    for label, index in (("ants", 310), ("bees", 309)):
        for path in sorted((folder / label).iterdir())[:30]:
            total += 1
            right += answer(model, path.read_bytes())[0] == index
    assert right / total > 0.65


def published_names(depths: tuple[int, ...], convolutions: int) -> list[str]:
    """The names in torchvision's files, written out from its description."""
    norm = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    names = ["conv1.weight", "fc.weight", "fc.bias", *(f"bn1.{part}" for part in norm)]
    for level, depth in enumerate(depths, start=1):
        for block in range(depth):
            at = f"layer{level}.{block}"
            for k in range(1, convolutions + 1):
                names += [f"{at}.conv{k}.weight", *(f"{at}.bn{k}.{part}" for part in norm)]
            if block == 0 and (level > 1 or convolutions == 3):
                names += [f"{at}.downsample.0.weight", *(f"{at}.downsample.1.{part}" for part in norm)]
    return names


@pytest.mark.parametrize(("name", "depths", "convolutions"), [("resnet18", (2,) * 4, 2), ("resnet50", (3, 4, 6, 3), 3)])
def test_the_names_of_torchvision_become_ours(name: str, depths: tuple[int, ...], convolutions: int) -> None:
    model = build_model(Spec(name=name, arguments={"classes": 1000, "channels": 3, "size": [224, 224]}))
    own = {k for k in model.state_dict() if not k.endswith("num_batches_tracked")}
    file = io.BytesIO()
    torch.save({old: torch.zeros(1) for old in published_names(depths, convolutions)}, file)
    assert sorted(WEIGHTS[name].read(file.getvalue())) == sorted(own)


def test_a_mirror_folder_is_looked_into_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("VISTO_WEIGHTS", str(tmp_path))
    before = find(NAME)
    assert before is not None and before.parent != tmp_path
    (tmp_path / WEIGHTS[NAME].file).write_bytes(before.read_bytes())
    assert find(NAME) == tmp_path / WEIGHTS[NAME].file
    assert load(NAME, Silent())


def test_another_file_than_the_published_one_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("VISTO_WEIGHTS", str(tmp_path))
    (tmp_path / WEIGHTS["resnet18"].file).write_bytes(b"not the weights")
    with pytest.raises(ModelError, match="SHA-256") as caught:
        load("resnet18", Silent())
    assert caught.value.expected == WEIGHTS["resnet18"].sha256


def test_nothing_is_fetched_unless_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("VISTO_CACHE", str(tmp_path))
    monkeypatch.delenv("VISTO_WEIGHTS", raising=False)
    monkeypatch.setattr(weights, "fetch", lambda *_: pytest.fail("it went to the network"))
    with pytest.raises(UsageError, match="not on this machine") as caught:
        load("resnet50", Silent())
    assert "--download" in caught.value.hint
    with pytest.raises(UsageError, match="no pretrained"):
        load("mlp", Silent())


class Answer(io.BytesIO):
    headers: dict[str, str] = {}  # noqa: RUF012  (as urllib's)


def test_a_download_is_checked_before_it_is_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("VISTO_CACHE", str(tmp_path))
    monkeypatch.delenv("VISTO_WEIGHTS", raising=False)
    monkeypatch.setattr("urllib.request.urlopen", lambda *_, **__: Answer(b"an error page"))
    with pytest.raises(ModelError, match="SHA-256"):
        load("resnet18", Silent(), download=True)
    assert not list(tmp_path.rglob("*.pth"))

    def unreachable(*_: object, **__: object) -> object:
        raise OSError("no route")

    monkeypatch.setattr("urllib.request.urlopen", unreachable)
    with pytest.raises(ResourceError, match="cannot fetch"):
        load("resnet18", Silent(), download=True)
