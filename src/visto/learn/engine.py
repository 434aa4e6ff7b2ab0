"""How a run's arithmetic is done: device, precision, layout, kernels; measured once, stored, reused at resume.

torch.compile is not used: on two cores it made the steps of these nets slower (``bench/LOG.md``).
"""

import contextlib
import copy
import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from typing import Any

import torch
from torch import Tensor, nn

from visto.errors import ResourceError, UsageError
from visto.learn.kernel_gap import Layer, kernel_gap
from visto.models.convolution import Convolution
from visto.native import winograd

PRECISIONS = ("auto", "fp32", "bf16")
DEVICES = ("cpu", "cuda")
LAYOUTS = {"channels_last": torch.channels_last, "contiguous": torch.contiguous_format}

# bf16 keeps 8 bits: with sound kernels the logits of a fresh model differ by about 0.5 % of their spread, with a
# broken one by more than the spread itself; a layer by sound native kernels differs by 1 to 3 %, by broken ones by half
# or more
_TOLERANCE = 0.1
_ROUNDS = 3
_DOUBTS = 6  # more of them, before anything but the first candidate is taken
_CLEARLY = 0.7  # of the first candidate's time: less is noise on a shared machine
_NOTHING = 0.005  # seconds of a trial step: below, there is nothing to gain
_LITTLE = 0.01  # below, native kernels gain little in a run, and building them takes seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """``reason`` says why this ``precision``; ``seconds`` are those of a trial step with each candidate measured.

    ``kernels``: "torch", or "native" for layers that can learn by loops of our own (``Convolution``, ``Norm``).
    """

    precision: str
    layout: str = "channels_last"
    kernels: str = "torch"
    device: str = "cpu"
    reason: str = "as asked"
    seconds: Mapping[str, float] | None = None

    @classmethod
    def of(cls, decisions: Mapping[str, Any]) -> "Engine":
        """What ``decisions`` of an earlier process say."""
        return cls(**decisions["engine"])

    def decisions(self) -> dict[str, Any]:
        """What to store."""
        return {"engine": asdict(self), "precision": self.precision, "precision_reason": self.reason}

    def autocast(self) -> contextlib.AbstractContextManager[object]:
        """The context in which a model runs."""
        if self.precision == "bf16":
            return torch.autocast(self.device, torch.bfloat16)
        return contextlib.nullcontext()

    def module(self, module: nn.Module) -> nn.Module:
        """The module on the device, its filters laid out as chosen; the same object.

        Raises ResourceError where native kernels were chosen and cannot be had here.
        """
        if self.device == "cuda":  # the same sums each time, and fp32 that is fp32
            torch.backends.cudnn.deterministic = True
            torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
        native = self.kernels == "native"
        if native and not winograd.can_convolve():
            raise ResourceError(
                "this run learns by kernels compiled on the machine, which cannot be built here",
                hint="install a C compiler (gcc), as when it began; or begin anew in another folder",
            )
        laid_out: nn.Module = module.to(self.device).to(memory_format=LAYOUTS[self.layout])  # type: ignore[call-overload]
        for part in _with_kernels(laid_out):
            part.native = native
            if native and isinstance(part, Convolution):
                part.weight.data = winograd.laid_out(part.weight.data)
        return laid_out

    def images(self, images: Tensor) -> Tensor:
        """Inputs on the device, laid out as chosen where they are images (N×C×H×W)."""
        images = images.to(self.device, non_blocking=True)
        return images.contiguous(memory_format=LAYOUTS[self.layout]) if images.ndim == 4 else images


def has_fast_bf16(device: str = "cpu") -> bool:
    """Whether bf16 is multiplied in hardware (AVX512-BF16 or AMX; a GPU since Ampere): about twice as fast as fp32."""
    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def check_device(device: str) -> None:
    """Raise UsageError for a device that is not known, ResourceError for one that is not there."""
    if device not in DEVICES:
        raise UsageError(f"no device {device!r}", expected=f"one of {', '.join(DEVICES)}")
    if device == "cuda" and not torch.cuda.is_available():
        raise ResourceError(
            "no CUDA device that this torch can use", hint="leave --device out, or install a torch with CUDA"
        )


def choose(wanted: str, device: str, model: nn.Module, images_nchw: Tensor) -> Engine:
    """How to learn fastest with answers as in fp32, by trial steps of the run's own model on some of its images.

    ``auto`` tries bf16 where the hardware has it and its answers agree, and with it native kernels. What is asked for
    by name is not measured, and does without them.
    Raises UsageError for a precision that is not in PRECISIONS.
    """
    if wanted not in PRECISIONS:
        raise UsageError(f"no precision {wanted!r}", expected=f"one of {', '.join(PRECISIONS)}")
    if wanted != "auto":
        return Engine(precision=wanted, device=device)
    if not has_fast_bf16(device):
        return _fastest(["fp32"], device, model, images_nchw, "this processor has no fast bf16")
    gap = disagreement(model, images_nchw, Engine(precision="bf16", device=device))
    if not gap < _TOLERANCE:
        words = f"bf16 goes wrong on this processor: it differs from fp32 by {gap:.0%}"
        return _fastest(["fp32"], device, model, images_nchw, words)
    words = "this processor has fast bf16, and it agrees with fp32"
    return _natively(_fastest(["bf16", "fp32"], device, model, images_nchw, words), model, images_nchw)


def _fastest(precisions: list[str], device: str, model: nn.Module, images: Tensor, reason: str) -> Engine:
    """The first candidate, unless another is clearly faster."""
    candidates = [Engine(precision=p, layout=layout, device=device) for p in precisions for layout in LAYOUTS]
    seconds, best = _timed([_trial(engine, model, images) for engine in candidates])
    measured = {f"{c.precision} {c.layout}": round(s, 5) for c, s in zip(candidates, seconds, strict=True)}
    if best == 0:
        return replace(candidates[0], reason=reason, seconds=measured)
    first, chosen = candidates[0], candidates[best]
    factor = f"{seconds[0] / seconds[best]:.1f} times as fast here as {first.precision} in {first.layout} layout"
    return replace(chosen, reason=f"{reason}; {chosen.layout} layout: {factor}", seconds=measured)


def _natively(plain: Engine, model: nn.Module, images: Tensor) -> Engine:
    """The same with native kernels, unless there is nothing to gain, they go wrong, or are clearly slower."""
    known = dict(plain.seconds or {})
    name = f"{plain.precision} {plain.layout}"
    can = plain.precision == "bf16" and plain.device == "cpu" and known[name] >= _LITTLE
    if not can or not any(part.suits() for part in _with_kernels(model)) or not winograd.can_convolve():
        return plain
    native = replace(plain, kernels="native")
    gap = kernel_gap(native.module(copy.deepcopy(model)).train(), native.images(images), native.autocast)
    if not gap < _TOLERANCE:
        words = f"a layer by them differs from fp32 by {gap:.0%}" if gap < math.inf else "they give no numbers"
        return replace(plain, reason=f"{plain.reason}; without native kernels: {words}")
    seconds, best = _timed([_trial(engine, model, images) for engine in (native, plain)])
    known |= {name: min(known[name], round(seconds[1], 5)), f"{name} native": round(seconds[0], 5)}
    if best == 1:
        return replace(plain, seconds=known)
    return replace(native, seconds=known, reason=f"{plain.reason}; native kernels, convolutions by Winograd's method")


def _timed(steps: Sequence[Callable[[], float]]) -> tuple[list[float], int]:
    """The best seconds of each step, and which to take: the first, unless another is clearly faster.

    Chance must not choose, or no run could be repeated.
    """
    for step in steps:  # once to warm up
        step()
    # in turns, the best of each: another process on the cores then spoils no candidate alone
    seconds = [step() for step in steps]

    def again(which: Iterable[int]) -> None:
        for k in which:
            seconds[k] = min(seconds[k], steps[k]())

    for _ in range(_ROUNDS - 1):
        again([k for k in range(len(steps)) if k == 0 or seconds[k] < seconds[0]])
    best = min(range(len(steps)), key=seconds.__getitem__)
    for _ in range(_DOUBTS):
        if seconds[0] < _NOTHING or seconds[best] > _CLEARLY * seconds[0]:
            return seconds, 0
        again([0, best])  # the first may have had bad luck
    return seconds, best


def _with_kernels(module: nn.Module) -> list[Layer]:
    return [part for part in module.modules() if isinstance(part, Layer)]


def _trial(engine: Engine, model: nn.Module, images: Tensor) -> Callable[[], float]:
    """A function that does a step forward and back on a copy and gives its seconds."""
    twin = engine.module(copy.deepcopy(model)).train()
    ready = engine.images(images)

    def step() -> float:
        began = time.perf_counter()
        with engine.autocast():
            outputs = list(twin(ready).values())
        sum(o.float().square().mean() for o in outputs).backward()
        if engine.device == "cuda":
            torch.cuda.synchronize()
        for parameter in twin.parameters():
            parameter.grad = None
        return time.perf_counter() - began

    return step


def disagreement(model: nn.Module, images_nchw: Tensor, low: Engine) -> float:
    """The largest relative gap between ``low`` and fp32, over the outputs and over the last matrix's gradient.

    Works on a copy in training mode, without dropout; relative to the norm of the fp32 value. Infinite where any other
    gradient is: the bf16 kernels of torch 2.13 leave parts of it unwritten for filters larger than what they filter
    (7×7 on 2×2 pixels).
    """
    results: list[list[Tensor]] = []
    for engine in (Engine(precision="fp32", device=low.device), low):
        twin = engine.module(copy.deepcopy(model)).train()
        for module in twin.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.0
        with engine.autocast():
            outputs = list(twin(engine.images(images_nchw)).values())
        sum(o.float().square().mean() for o in outputs).backward()
        gradients = [p.grad for p in twin.parameters() if p.grad is not None and p.ndim > 1]
        if not all(bool(gradient.isfinite().all()) for gradient in gradients):
            return float("inf")
        results.append([o.detach().float() for o in outputs] + gradients[-1:])
    gaps = [
        float((rough - exact).norm() / exact.norm().clamp_min(1e-6))
        for exact, rough in zip(results[0], results[1], strict=True)
    ]
    return max(gaps)


def processor(device: str = "cpu") -> str:
    """What a run's pixels and arithmetic depend on beside its thread count: libraries, and what the hardware can."""
    fast = [
        name
        for name, has in (
            ("AVX512-BF16", torch.cpu._is_avx512_bf16_supported()),
            ("AMX", torch.cpu._is_amx_tile_supported()),
        )
        if has
    ]
    libraries = ", ".join(f"{name} {version(name)}" for name in ("torch", "pillow", "simplejpeg"))
    card = [torch.cuda.get_device_name(), f"CUDA {torch.version.cuda}"] if device == "cuda" else []
    return ", ".join((libraries, torch.backends.cpu.get_cpu_capability(), *fast, *card))
