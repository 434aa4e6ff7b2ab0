"""How long one step of a sequence takes on this machine, from what was decoded to the answer after it."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median, quantiles
from typing import Any

import torch
from torch import Tensor

from visto.bundle import Bundle
from visto.data.dataset import Item
from visto.errors import DataError
from visto.exporting.evenly import evenly
from visto.exporting.step_gate import steps_of
from visto.exporting.step_graph import form_of, step_body
from visto.prediction import OneStepGraph, TorchRecogniser
from visto.types import Voice

_SEQUENCES = 8
_TURNS = 5

Given = Sequence[Tensor]


@dataclass(frozen=True, slots=True, kw_only=True)
class TimedSteps:
    """Milliseconds for one step; ``apart`` is by how much the scores at the end differ from torch's at most."""

    name: str
    p50: float
    p99: float
    apart: float

    def to_json(self) -> dict[str, Any]:
        return {"backend": self.name, "p50_ms": self.p50, "p99_ms": self.p99, "largest_score_difference": self.apart}


def timed_steps(bundle: Bundle, items: Sequence[Item], voice: Voice) -> list[TimedSteps]:
    """Torch and onnxruntime, in turns. Raises GateError for a model that must see a sequence's end first, DataError."""
    plain, name = TorchRecogniser(bundle), bundle.manifest.model.name
    form = form_of(plain, name)
    body = step_body(plain, form, name)
    outputs = [value.name for value in body.graph.output if value.name not in form.next_names]
    graph = OneStepGraph(bundle.manifest, bundle.path, bundle.seen, body.SerializeToString(), form, outputs)
    sequences = [[given for given, _ in steps_of(plain, item)] for item in evenly(items, _SEQUENCES)]
    sequences = [some for some in sequences if some]
    if not sequences:
        raise DataError("no sequence that can be read", hint="name others with --data")
    ways: list[tuple[str, TorchRecogniser | OneStepGraph]] = [
        ("torch float32", plain),
        ("onnxruntime float32", graph),
    ]
    seconds: list[list[float]] = [[] for _ in ways]
    last: list[list[Tensor]] = [[] for _ in ways]
    for turn in voice.progress(range(_TURNS + 1), total=_TURNS + 1, words="timing"):
        for (_, way), spent, ends in zip(ways, seconds, last, strict=True):
            for given in sequences:
                taken, scores = _read(way, given, (lambda x: x) if form.features else way.fit)
                if turn:  # the first turn warms up
                    spent += taken
                else:
                    ends.append(scores)
    return [
        TimedSteps(
            name=words,
            p50=1000 * median(spent),
            p99=1000 * quantiles(spent, n=100, method="inclusive")[98],
            apart=max(float((a - b).abs().max()) for a, b in zip(ends, last[0], strict=True)),
        )
        for (words, _), spent, ends in zip(ways, seconds, last, strict=True)
    ]


def _read(
    way: TorchRecogniser | OneStepGraph, given: Given, fit: Callable[[Tensor], Tensor]
) -> tuple[list[float], Tensor]:
    """Seconds for each step of one sequence, and the scores after the last."""
    state, taken, scores = way.begin(), list[float](), torch.empty(0)
    for step in given:
        begun = time.perf_counter()
        tensors, state = way.step(fit(step), state)
        way.task.answers(tensors, ())
        taken.append(time.perf_counter() - begun)
        scores = tensors["scores"]
    return taken, scores
