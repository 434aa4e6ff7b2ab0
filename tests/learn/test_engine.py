"""The engine: chosen by trial steps, stored, and the same when read back."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import visto.learn.engine as engine
from visto.errors import ResourceError, UsageError
from visto.learn.engine import Engine, check_device, choose, disagreement
from visto.models.convolution import Convolution
from visto.native import winograd


class Slow(nn.Module):
    """As slow as it is told to be in bf16, or in one layout."""

    def __init__(self) -> None:
        super().__init__()
        self.dense = nn.Linear(4, 2)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        return {"logits": self.dense(images.flatten(1))}


def chosen(monkeypatch: pytest.MonkeyPatch, times: dict[str, float], *, fast_bf16: bool = True) -> Engine:
    monkeypatch.setattr(engine, "has_fast_bf16", lambda device: fast_bf16)
    monkeypatch.setattr(engine, "disagreement", lambda *_: 0.0)
    monkeypatch.setattr(engine, "_trial", lambda e, *_: lambda: times[f"{e.precision} {e.layout}"])
    return choose("auto", "cpu", Slow(), torch.zeros(1, 1, 2, 2))


def test_the_faster_is_taken_where_it_is_clearly_so(monkeypatch: pytest.MonkeyPatch) -> None:
    times = {"bf16 channels_last": 0.10, "bf16 contiguous": 0.09, "fp32 channels_last": 0.2, "fp32 contiguous": 0.2}
    found = chosen(monkeypatch, times)
    assert (found.precision, found.layout, found.seconds) == ("bf16", "channels_last", times)
    found = chosen(monkeypatch, times | {"fp32 contiguous": 0.05})
    assert (found.precision, found.layout) == ("fp32", "contiguous")
    assert "2.0 times as fast" in found.reason


def natively(monkeypatch: pytest.MonkeyPatch, seconds: float, gap: float = 0.0, outputs: int = 32) -> Engine:
    """What is chosen where a step with native kernels takes so long, and one without a tenth of a second."""
    monkeypatch.setattr(engine, "has_fast_bf16", lambda device: True)
    monkeypatch.setattr(winograd, "can_convolve", lambda: True)
    monkeypatch.setattr(engine, "disagreement", lambda *_: 0.0)
    monkeypatch.setattr(engine, "kernel_gap", lambda *_: gap)
    monkeypatch.setattr(engine, "_trial", lambda e, *_: lambda: seconds if e.kernels == "native" else 0.1)
    return choose("auto", "cpu", Convolution(32, outputs), torch.zeros(1, 32, 2, 2))


@pytest.mark.parametrize(
    ("how", "kernels"),
    [
        ({"seconds": 0.05}, "native"),
        ({"seconds": 0.13}, "native"),
        ({"seconds": 0.2}, "torch"),
        ({"seconds": 0.05, "gap": 0.09}, "native"),
        ({"seconds": 0.05, "gap": 0.1}, "torch"),
        ({"seconds": 0.05, "outputs": 24}, "torch"),
    ],
)
def test_native_kernels_are_taken_where_they_suit_agree_and_are_not_slower(
    monkeypatch: pytest.MonkeyPatch, how: dict[str, Any], kernels: str
) -> None:
    found = natively(monkeypatch, **how)
    assert found.kernels == kernels and Engine.of(found.decisions()) == found
    assert ("convolutions by Winograd" in found.reason) == (kernels == "native")
    assert ("differs from fp32 by 10%" in found.reason) == (how.get("gap") == 0.1)


def test_native_kernels_are_missed_where_a_run_needs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    layer, wanted = Convolution(32, 32), Engine(precision="bf16", kernels="native")
    monkeypatch.setattr(winograd, "can_convolve", lambda: True)
    for chosen_one, there in ((wanted, True), (Engine(precision="bf16"), False)):
        chosen_one.module(layer)
        assert layer.native == there
    monkeypatch.setattr(winograd, "can_convolve", lambda: False)
    with pytest.raises(ResourceError, match="kernels compiled"):
        wanted.module(layer)


def test_what_takes_no_time_is_not_chosen_by_chance(monkeypatch: pytest.MonkeyPatch) -> None:
    times = {"bf16 channels_last": 0.004, "bf16 contiguous": 0.001, "fp32 channels_last": 0.2, "fp32 contiguous": 0.2}
    assert chosen(monkeypatch, times).layout == "channels_last"


def test_without_fast_bf16_it_is_not_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    found = chosen(monkeypatch, {"fp32 channels_last": 0.2, "fp32 contiguous": 0.3}, fast_bf16=False)
    assert found.precision == "fp32" and "no fast bf16" in found.reason


def test_a_broken_bf16_is_found_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken(Slow):
        def forward(self, images: Tensor) -> dict[str, Tensor]:
            logits = self.dense(images.flatten(1))
            return {"logits": -logits if logits.dtype == torch.bfloat16 else logits}

    monkeypatch.setattr(engine, "has_fast_bf16", lambda device: True)
    found = choose("auto", "cpu", Broken(), torch.ones(3, 1, 2, 2))
    assert found.precision == "fp32" and "goes wrong" in found.reason


def test_it_is_the_same_when_read_back() -> None:
    first = Engine(precision="bf16", layout="contiguous", reason="so", seconds={"bf16 contiguous": 0.1})
    assert Engine.of(first.decisions()) == first


def test_inputs_are_laid_out() -> None:
    images = torch.zeros(2, 3, 4, 4)
    assert Engine(precision="fp32").images(images).is_contiguous(memory_format=torch.channels_last)
    assert Engine(precision="fp32", layout="contiguous").images(images).is_contiguous()
    assert Engine(precision="fp32").images(torch.zeros(2, 5)).shape == (2, 5)


def test_devices_that_are_not_there() -> None:
    with pytest.raises(UsageError, match="no device 'tpu'"):
        check_device("tpu")
    if not torch.cuda.is_available():
        with pytest.raises(ResourceError, match="no CUDA device"):
            check_device("cuda")


class Unwritten(torch.autograd.Function):
    """A layer whose gradient is not all written, as that of some bf16 kernels."""

    @staticmethod
    def forward(context: Any, x: Tensor, weight: Tensor) -> Tensor:
        return x @ weight

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, Tensor]:
        return gradients[0], torch.full((4, 4), torch.inf)


class Broken(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Parameter(torch.eye(4))
        self.last = nn.Parameter(torch.eye(4))

    def forward(self, images_nchw: Tensor) -> dict[str, Tensor]:
        x: Tensor = Unwritten.apply(images_nchw.flatten(1), self.first)  # type: ignore[no-untyped-call]
        return {"logits": x @ self.last}


def test_one_infinite_gradient_is_enough_to_distrust_bf16() -> None:
    assert disagreement(Broken(), torch.ones(2, 1, 2, 2), Engine(precision="bf16")) == float("inf")
