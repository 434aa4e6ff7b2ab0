"""Which arithmetic a run uses: chosen once, checked on the run's own model, stored, and reused at resume."""

import contextlib
import copy
from importlib.metadata import version

import torch
from torch import Tensor, nn

from visto.errors import UsageError

PRECISIONS = ("auto", "fp32", "bf16")

# bf16 keeps 8 bits: with sound kernels the logits of a fresh model differ by about 0.5 % of their spread, with a
# broken one by more than the spread itself
_TOLERANCE = 0.1


def has_fast_bf16() -> bool:
    """Whether this processor multiplies bf16 in hardware (AVX512-BF16 or AMX): about twice as fast as fp32 there."""
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def choose(wanted: str, model: nn.Module, images_nchw: Tensor) -> tuple[str, str]:
    """(precision, reason). ``auto`` takes bf16 where the hardware has it and the model's own answers agree with fp32.

    Raises UsageError for a name that is not in PRECISIONS.
    """
    if wanted not in PRECISIONS:
        raise UsageError(f"no precision {wanted!r}", expected=f"one of {', '.join(PRECISIONS)}")
    if wanted != "auto":
        return wanted, "as asked"
    if not has_fast_bf16():
        return "fp32", "this processor has no fast bf16"
    gap = disagreement(model, images_nchw)
    if not gap < _TOLERANCE:
        return "fp32", f"bf16 goes wrong on this processor: it differs from fp32 by {gap:.0%}"
    return "bf16", "this processor has fast bf16, and it agrees with fp32"


def disagreement(model: nn.Module, images_nchw: Tensor) -> float:
    """The largest relative gap between bf16 and fp32, over the outputs and over every parameter's gradient.

    Works on a copy in training mode, without dropout; relative to the norm of the fp32 value.
    """
    results: list[list[Tensor]] = []
    for precision in ("fp32", "bf16"):
        twin = copy.deepcopy(model).train()
        for module in twin.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.0
        with autocast(precision):
            outputs = list(twin(images_nchw).values())
        sum(o.float().square().mean() for o in outputs).backward()
        gradients = [p.grad for p in twin.parameters() if p.grad is not None and p.ndim > 1]
        results.append([o.detach().float() for o in outputs] + gradients[-1:])
    gaps = [
        float((low - high).norm() / high.norm().clamp_min(1e-6))
        for high, low in zip(results[0], results[1], strict=True)
    ]
    return max(gaps)


def autocast(precision: str) -> contextlib.AbstractContextManager[object]:
    """The context in which a model of that precision runs on the CPU."""
    if precision == "bf16":
        return torch.autocast("cpu", torch.bfloat16)
    return contextlib.nullcontext()


def processor() -> str:
    """What a run's pixels and arithmetic depend on beside its thread count: libraries, and what the processor can."""
    fast = [
        name
        for name, has in (
            ("AVX512-BF16", torch.cpu._is_avx512_bf16_supported()),
            ("AMX", torch.cpu._is_amx_tile_supported()),
        )
        if has
    ]
    libraries = ", ".join(f"{name} {version(name)}" for name in ("torch", "pillow", "simplejpeg"))
    return ", ".join((libraries, torch.backends.cpu.get_cpu_capability(), *fast))
