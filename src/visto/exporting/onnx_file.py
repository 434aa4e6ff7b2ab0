"""The exporter of ONNX: one file, any image in, the answer's tensors out; of sequences one step, with its state."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from onnx import ModelProto

from visto.bundle import Bundle, Exported, ExportManifest, read_own_exported, write_exported
from visto.data.dataset import Dataset, Item, noun_of
from visto.errors import DataError
from visto.evaluation.choice import relabel
from visto.evaluation.series import as_wanted
from visto.exporting.evenly import evenly
from visto.exporting.gate import Parity, check, exact, parity, rounded
from visto.exporting.graph import OPSET, body, whole
from visto.exporting.int8 import quantised
from visto.exporting.loss import Loss, calibration
from visto.exporting.run import run_py
from visto.exporting.step_gate import parity_of_steps
from visto.exporting.step_graph import form_of, step_body, whole_step
from visto.prediction import TorchRecogniser
from visto.quantities import plural
from visto.types import Voice

_FEW = 300
_COMPARED = 2000  # images: a file that answers one in a thousand otherwise is found out


def export_onnx(bundle: Bundle, out: Path, dataset: Dataset, int8: bool, allowed: float, voice: Voice) -> Exported:
    """Make the graph, compare it with the bundle on held-out images, and write it. Raises as ``export`` does."""
    recogniser = TorchRecogniser(bundle)
    if recogniser.task.sequences:
        return _export_step(bundle, recogniser, out, dataset, allowed, voice)
    items = _announced(dataset, recogniser, voice)
    part, bar, rounding = body(recogniser, bundle.manifest.model.name), exact(allowed), {}
    if int8:
        made = quantised(
            part,
            [fitted.numpy() for fitted in calibration(dataset, recogniser, voice)],
            drift=Loss(recogniser, items, voice),
            allowed=allowed,
            voice=voice,
        )
        part, bar, rounding = made.model, rounded(allowed), {"int8": made.to_json()}
    graph = whole(recogniser, part)
    found = parity(recogniser, graph, items, bar, voice)
    check(found, bar)
    voice.say(in_words(found, "image"))
    own = _manifest(bundle, dataset, allowed, graph, found)
    own = replace(own, precision="int8" if int8 else "float32", gate={**own.gate, **rounding})
    write_exported(out, own, graph.SerializeToString(deterministic=True), bundle.seen, run_py(recogniser.task, False))
    return read_own_exported(out)  # nobody can have signed it yet


def _export_step(
    bundle: Bundle, recogniser: TorchRecogniser, out: Path, dataset: Dataset, allowed: float, voice: Voice
) -> Exported:
    """The same for sequences: the graph is one step. Raises GateError too for a model that must see the end first."""
    name, bar = bundle.manifest.model.name, exact(allowed)
    form = form_of(recogniser, name)
    items = _announced(dataset, recogniser, voice)
    graph = whole_step(recogniser, form, step_body(recogniser, form, name))
    found = parity_of_steps(recogniser, form, graph, items, bar, voice)
    check(found, bar)
    voice.say(in_words(found, noun_of(items)))
    own = _manifest(bundle, dataset, allowed, graph, found)
    own = replace(own, outputs=tuple(name for name in own.outputs if name not in form.next_names), stream=form)
    run = run_py(recogniser.task, bool(form.features))
    write_exported(out, own, graph.SerializeToString(deterministic=True), bundle.seen, run)
    return read_own_exported(out)


def _manifest(bundle: Bundle, dataset: Dataset, allowed: float, graph: ModelProto, found: Parity) -> ExportManifest:
    return ExportManifest(
        parent=bundle.digest,
        manifest=bundle.manifest,
        precision="float32",
        opset=OPSET,
        outputs=tuple(value.name for value in graph.graph.output),
        metrics=found.theirs,
        gate={"data": dataset.name, "max_drift": allowed, **found.to_json()},
        versions={name: version(name) for name in ("visto", "torch", "onnx", "onnxruntime")},
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _announced(dataset: Dataset, recogniser: TorchRecogniser, voice: Voice) -> Sequence[Item]:
    """The items to compare on, said, and where they are few."""
    items = compared_on(dataset, recogniser)
    what = plural(noun_of(items))
    voice.say(f"to be compared on {len(items):,} {what} of {dataset.name}")
    if len(items) < _FEW:
        voice.say(f"careful: on {len(items):,} {what} an answer in a thousand that is otherwise is seldom seen")
    return items


def compared_on(dataset: Dataset, recogniser: TorchRecogniser) -> Sequence[Item]:
    """The items to compare on: of the validation part, else the test part, else of all; evenly chosen where many.

    Raises DataError where the data is of another kind than the model's.
    """
    dataset = as_wanted(dataset, recogniser, recogniser.bundle.manifest.task)
    parts = [[item for item in dataset.items if item.split == split] for split in ("validation", "test")]
    items = next((part for part in parts if part), list(dataset.items))
    found = relabel(items, recogniser.task, dataset.classes, recogniser.classes)
    if not found:
        raise DataError(f"{dataset.name} has no labelled {noun_of(items)}", hint="name other data with --data")
    return evenly(found, _COMPARED)


def in_words(found: Parity, noun: str) -> str:
    """What the gate found, in a sentence."""
    return (
        f"{found.same:,} of {found.of:,} answers are the same on {found.n:,} {plural(noun)}, {found.figure} differs by "
        f"{found.drift:+.2f} {found.unit}, no score by more than {found.score:.1g}"
    )
