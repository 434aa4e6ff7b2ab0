"""All that a run needs to go on as if it had never stopped, and how it is kept on disk.

One file, written atomically: 32 bytes of SHA-256, then safetensors (tensors by name, the rest as JSON in its header).
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load, save
from torch import Tensor, nn

from visto.errors import ModelError
from visto.files import write_bytes
from visto.learn.optimiser import Optimiser

STATE_VERSION = 3  # raised when a run of an earlier Visto can no longer be gone on with


@dataclass(slots=True, kw_only=True)
class State:
    """Where a run stands after ``step`` of ``total_steps``.

    ``averaged`` is the moving average of the model's weights and statistics. ``decisions`` holds what was decided by
    measurement or by the clock (learning rate, precision, number of steps): taken once, never again. ``waited`` is how
    much of ``seconds`` went by before a step had its images. ``best`` is a copy of the averaged weights of the best
    epoch, where early stopping asks for it. ``history`` has a row an epoch. ``ended`` says why no step follows (empty:
    one does).
    """

    model: nn.Module
    averaged: dict[str, Tensor]
    optimiser: Optimiser
    total_steps: int
    decisions: dict[str, Any]
    step: int = 0
    seconds: float = 0.0
    waited: float = 0.0
    best: dict[str, Tensor] = field(default_factory=dict)
    best_epoch: int = -1
    history: list[dict[str, float]] = field(default_factory=list)
    ended: str = ""

    def weights(self) -> dict[str, Tensor]:
        """What the run has to show: the best epoch's averaged weights, else the present ones."""
        return self.best or self.averaged


_PLAIN = ("total_steps", "decisions", "step", "seconds", "waited", "best_epoch", "history", "ended")


def save_state(path: Path, state: State) -> None:
    """Write the state atomically. Raises ResourceError; the last good state then stays."""
    tensors: dict[str, Tensor] = {}
    for prefix, group in (
        ("model", state.model.state_dict()),
        ("averaged", state.averaged),
        ("optimiser", state.optimiser.named_state()),
        ("best", state.best),
    ):
        tensors |= {f"{prefix}/{name}": value.detach().contiguous() for name, value in group.items()}
    plain = json.dumps({name: getattr(state, name) for name in _PLAIN})
    # safetensors refuses tensors that share memory: averaged may be the model's own where there is no average
    content = save({name: t.clone() for name, t in tensors.items()}, metadata={"state": plain})
    write_bytes(path, hashlib.sha256(content).digest() + content)


def read_decisions(path: Path) -> dict[str, Any]:
    """The decisions in what ``save_state`` wrote. Raises ModelError where the file is damaged."""
    decisions: dict[str, Any] = _plain(_sound(path))["decisions"]
    return decisions


def _sound(path: Path) -> bytes:
    """The safetensors of a state, after its SHA-256 was checked."""
    content = path.read_bytes()
    if hashlib.sha256(content[32:]).digest() != content[:32]:
        raise ModelError(f"{path} is damaged", hint="train again without --resume, after removing the .run folder")
    return content[32:]


def _plain(content: bytes) -> dict[str, Any]:
    """What is no tensor in the safetensors of a state."""
    header = int.from_bytes(content[:8], "little")
    plain: dict[str, Any] = json.loads(json.loads(content[8 : 8 + header])["__metadata__"]["state"])
    return plain


def load_state(path: Path, state: State) -> None:
    """Put what ``save_state`` wrote into a freshly started state. Raises ModelError where the file is damaged."""
    content = _sound(path)
    tensors, plain = load(content), _plain(content)

    def group(prefix: str) -> dict[str, Tensor]:
        return {k.split("/", 1)[1]: v for k, v in tensors.items() if k.startswith(f"{prefix}/")}

    state.model.load_state_dict(group("model"))
    _copy_into(state.averaged, group("averaged"))
    state.optimiser.restore(group("optimiser"))
    state.best = {name: torch.empty_like(state.averaged[name]).copy_(v) for name, v in group("best").items()}
    for name in _PLAIN:
        setattr(state, name, plain[name])


def _copy_into(target: Mapping[str, Tensor], source: Mapping[str, Tensor]) -> None:
    # in place, so that the layout in memory (channels last) stays that of an unbroken run
    for name, value in target.items():
        value.copy_(source[name])
