"""An exported graph of one step as a recogniser of sequences: the state goes in, and comes out for the next step."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from visto.bundle import FITTED, STEP, Exported, Manifest, StepForm
from visto.errors import ModelError
from visto.prediction.parts import preprocess_of, task_of
from visto.prediction.runtime import between, parsed, session
from visto.types import Answer, View

State = tuple[Tensor, ...]


class OneStepGraph:
    """``body`` is an ONNX graph from a fitted frame, or a step's numbers, and the state to the head's ``outputs`` and
    the next state. Whole sequences are read step by step too. Raises ModelError, UsageError without onnxruntime.
    """

    causal = True

    def __init__(
        self,
        manifest: Manifest,
        path: Path,
        seen: Mapping[str, Tensor],
        body: bytes,
        form: StepForm,
        outputs: Sequence[str],
    ) -> None:
        self.classes = manifest.classes
        self.task = task_of(manifest)
        self.fit = preprocess_of(manifest, path).fit
        self.seen = seen
        self._form, self._outputs = form, list(outputs)
        self._input = _input_of(form)
        self._run = session(body)

    def begin(self) -> State:
        """The state before the first step."""
        return tuple(torch.zeros(shape) for shape in self._form.state)

    def step(self, fitted: Tensor, state: State) -> tuple[Mapping[str, Tensor], State]:
        """The head's tensors after one step more (a frame uint8 1×C×H×W, numbers float32 1×F), and the next state."""
        given = {self._input: np.ascontiguousarray(fitted.numpy())}
        given |= {name: value.numpy() for name, value in zip(self._form.names, state, strict=True)}
        found = [torch.from_numpy(value) for value in self._run.run([*self._outputs, *self._form.next_names], given)]
        many = len(self._outputs)
        return dict(zip(self._outputs, found[:many], strict=True)), tuple(found[many:])

    def tensors(self, sequences: Tensor) -> Mapping[str, Tensor]:
        """What the graph gives after the last step of each sequence: N×T×C×H×W, or N×T×F."""
        last = [self._last(steps) for steps in sequences]
        return {name: torch.cat([one[name] for one in last]) for name in self._outputs}

    def answers(self, sequences: Tensor, views: Sequence[View] = ()) -> Sequence[Answer[Any]]:
        return self.task.answers(self.tensors(sequences), views)

    def _last(self, steps: Tensor) -> Mapping[str, Tensor]:
        found: Mapping[str, Tensor] = {}
        state = self.begin()
        for step in steps.unbind():
            found, state = self.step(step[None], state)
        return found


def one_step_recogniser(exported: Exported) -> OneStepGraph:
    """What answers with an exported file of one step. Raises ModelError, UsageError without onnxruntime."""
    own, form = exported.own, exported.own.stream
    if form is None:
        raise ModelError(f"{exported.path} takes no steps", expected="an exported model on sequences")
    body = between(parsed(exported.content), [_input_of(form), *form.names], [*own.outputs, *form.next_names])
    content = body.SerializeToString()
    return OneStepGraph(exported.manifest, exported.path, exported.seen, content, form, own.outputs)


def _input_of(form: StepForm) -> str:
    return STEP if form.features else FITTED
