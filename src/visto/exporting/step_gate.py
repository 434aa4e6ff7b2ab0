"""The gate for sequences: the bundle sees each whole, the file step by step, and both must come to one answer."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from onnx import ModelProto
from torch import Tensor

from visto.bundle import FITTED, IMAGES, STEP, StepForm, seen_before
from visto.data.cache import materialise
from visto.data.clip_frames import shots
from visto.data.dataset import Clip, Item, Steps
from visto.errors import DataError
from visto.exporting.evenly import evenly
from visto.exporting.gate import Bar, Parity, check_made_up, check_pixels, check_whole, compared
from visto.prediction import TorchRecogniser
from visto.prediction.runtime import session
from visto.types import Answer, Voice

_STEPS = 20_000  # of all sequences that are compared
_FEWEST = 50

State = Mapping[str, Any]
Step = Callable[[Tensor, State], tuple[dict[str, Tensor], State]]


def parity_of_steps(
    recogniser: TorchRecogniser, form: StepForm, graph: ModelProto, items: Sequence[Item], bar: Bar, voice: Voice
) -> Parity:
    """Run both over the sequences that the bundle has not learnt from, from decoded frames on, and compare.

    Raises GateError where the file's pixels or numbers are wrong, DataError where no sequence is left to compare on.
    """
    step = _stepping(graph, form)
    if not form.features:
        check_made_up(recogniser.fit, lambda images: step(images, _begun(form))[0], together=1)
    kept, ours, theirs = list[Item](), list[Answer[Any]](), list[Answer[Any]]()
    some = _new(recogniser, items, voice)
    for item in voice.progress(some, total=len(some), words="comparing"):
        fitted: list[Tensor] = []
        state, last = _begun(form), dict[str, Tensor]()
        for given, ready in steps_of(recogniser, item):
            last, state = step(given, state)
            if not form.features:
                check_pixels(ready, last.pop(FITTED), [f"{item.id}, frame {len(fitted)}"])
            check_whole(last)
            fitted.append(ready)
        ours += recogniser.answers(torch.cat(fitted)[None])
        theirs += recogniser.task.answers(last, ())
        kept.append(item)
    return compared(recogniser.task, ours, theirs, kept, bar)


def _new(recogniser: TorchRecogniser, items: Sequence[Item], voice: Voice) -> list[Item]:
    """Those that can be read and were not learnt from, evenly chosen where there are many."""
    pixels = materialise(items, recogniser.fit, threads=torch.get_num_threads(), progress=voice.progress)
    new = (~seen_before(pixels.digests, recogniser.seen["train"])).nonzero().flatten()
    if not len(new):
        raise DataError(
            f"no sequence to compare on: {len(items)} were given, none of them readable and new to the model",
            expected="sequences that the model has not learnt from",
            hint="name others with --data",
        )
    length = float(pixels.lengths[new].float().mean())
    return evenly([pixels.items[k] for k in new.tolist()], max(_FEWEST, int(_STEPS / length)))


def steps_of(recogniser: TorchRecogniser, item: Item) -> Iterator[tuple[Tensor, Tensor]]:
    """Each step as it is given to the file, and fitted for the bundle; frames as they decode at full size."""
    source, fit = item.source, recogniser.fit
    if isinstance(source, Steps):
        for numbers in torch.from_numpy(source.values.copy()):
            yield numbers[None], numbers[None]
        return
    if not isinstance(source, Clip):
        raise TypeError(f"{item.id} is no sequence")
    for shot in shots(source, fit.every):
        if isinstance(shot.frame, DataError):
            continue
        try:
            ready = fit(shot.frame.batch)
        except DataError:  # a step refuses it: it is left out, as when the clip is judged
            continue
        yield shot.frame.batch, ready


def _stepping(graph: ModelProto, form: StepForm) -> Step:
    """The graph as a function of decoded frames (uint8 1×C×H×W) or numbers, which gives the fitted pixels too."""
    probe = ModelProto()
    probe.CopyFrom(graph)
    probe.graph.output.extend(value for value in graph.graph.value_info if value.name == FITTED)
    names = [value.name for value in probe.graph.output]
    run = session(probe)

    def step(given: Tensor, state: State) -> tuple[dict[str, Tensor], State]:
        if form.features:
            feed = {STEP: given.numpy()}
        else:
            colour = given if given.shape[1] == 3 else given.expand(-1, 3, -1, -1)
            feed = {IMAGES: colour.permute(0, 2, 3, 1).contiguous().numpy()}
        found = dict(zip(names, run.run(names, feed | dict(state)), strict=True))
        after = {name: found.pop(late) for name, late in zip(form.names, form.next_names, strict=True)}
        check_whole({name: torch.from_numpy(value) for name, value in after.items()})
        return {name: torch.from_numpy(value) for name, value in found.items()}, after

    return step


def _begun(form: StepForm) -> State:
    return {name: torch.zeros(shape).numpy() for name, shape in zip(form.names, form.state, strict=True)}
