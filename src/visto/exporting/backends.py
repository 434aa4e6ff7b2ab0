"""The ways to run a bundle on this machine, measured: from the bytes of an image file to the answer.

Each way is first compared with the bundle as it always was (torch, fp32), by the bars of the export. The fastest that
passes may then be used by ``predict``.
"""

import io
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import torch
from PIL import Image

from visto.bundle import Bundle
from visto.data.content import read_content
from visto.data.dataset import Dataset, Item, PixelRow, Source
from visto.errors import DataError, GateError, ModelError
from visto.evaluation.run import answer_all
from visto.exporting.evenly import evenly
from visto.exporting.gate import Bar, check, compared, exact, rounded
from visto.exporting.graph import body
from visto.exporting.int8 import quantised
from visto.exporting.loss import Loss, calibration
from visto.exporting.run import DRIFT, DRIFT_INT8
from visto.models import CLASSIC
from visto.prediction import GraphRecogniser, Recogniser, TorchRecogniser, encoded, predict
from visto.prediction.runtime import has_openvino
from visto.types import Voice

_TIMED = 64  # images, read into memory before the clock starts
_TURNS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Backend:
    """One way to answer. ``runner`` and ``graph`` (None: torch) are what it takes; ``size`` is in bytes."""

    name: str
    recogniser: Recogniser
    bar: Bar
    size: int
    runner: str = "torch"
    graph: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Timed:
    """What was measured of a backend: milliseconds for one image alone, images a second of many.

    ``drift`` is in points of the deciding figure and ``agreement`` a share, beside torch in fp32; ``refused`` says why
    it does not pass, or "".
    """

    backend: Backend
    p50: float
    p99: float
    per_second: float
    drift: float
    agreement: float
    refused: str

    def to_json(self) -> dict[str, Any]:
        return {
            "backend": self.backend.name,
            "p50_ms": self.p50,
            "p99_ms": self.p99,
            "images_per_second": self.per_second,
            "bytes": self.backend.size,
            "drift": self.drift,
            "agreement": self.agreement,
            "passes": not self.refused,
            "refused": self.refused,
        }


def backends(bundle: Bundle, dataset: Dataset, loss: Loss, voice: Voice) -> list[Backend]:
    """All ways that there are on this machine; what cannot be had is said, and left out."""
    plain, weights = TorchRecogniser(bundle), sum(w.nbytes for w in bundle.weights.values())
    fine, coarse = exact(DRIFT), rounded(DRIFT_INT8)
    found = [Backend(name="torch float32", recogniser=plain, bar=fine, size=weights)]
    if bundle.manifest.model.name not in CLASSIC:  # those are fitted in fp32, and small
        half = TorchRecogniser(bundle, torch.bfloat16)
        found.append(Backend(name="torch bfloat16", recogniser=half, bar=coarse, size=weights))
    runners = ["onnxruntime", *(["openvino"] if has_openvino() else [])]
    if len(runners) == 1:
        voice.say("OpenVINO is not installed: pip install openvino, to have it measured too")

    def add(precision: str, graph: bytes, bar: Bar) -> None:
        for runner in runners:
            recogniser = GraphRecogniser(bundle.manifest, bundle.path, bundle.seen, graph, runner)
            name = f"{runner} {precision}"
            found.append(
                Backend(name=name, recogniser=recogniser, bar=bar, size=len(graph), runner=runner, graph=graph)
            )

    try:
        graph = body(plain, bundle.manifest.model.name)
        add("float32", graph.SerializeToString(), fine)
        images = [fitted.numpy() for fitted in calibration(dataset, plain, voice)]
        small = quantised(graph, images, drift=loss, allowed=DRIFT_INT8, voice=voice).model
        add("int8", small.SerializeToString(), coarse)
    except (GateError, DataError) as error:
        voice.say(f"left out: {error.message}")
    return found


def measured(ways: Sequence[Backend], loss: Loss, items: Sequence[Item], threads: int, voice: Voice) -> list[Timed]:
    """Each way compared with the first, which is the bundle as it always was, then timed in turns with the others."""
    pixels, rows = loss.pixels, torch.arange(len(loss.pixels))
    plain = answer_all(ways[0].recogniser, pixels, rows, voice)
    able, found = [], []
    for way in ways:
        try:
            answers = plain if way is ways[0] else answer_all(way.recogniser, pixels, rows, voice)
        except (ModelError, RuntimeError) as error:
            voice.say(f"{way.name} left out: {error}")
            continue
        parity = compared(loss.task, plain, answers, pixels.items, way.bar)
        refused = ""
        try:
            check(parity, way.bar)
        except GateError as error:
            refused = error.message
        able.append(way)
        found.append((parity, refused))
    single, together = _times(able, _contents(items), threads, voice)
    return [
        Timed(
            backend=way,
            p50=1000 * median(one),
            p99=1000 * quantiles(one, n=100, method="inclusive")[98],
            per_second=many,
            drift=parity.drift,
            agreement=parity.agreement,
            refused=refused,
        )
        for way, one, many, (parity, refused) in zip(able, single, together, found, strict=True)
    ]


def fastest(found: Sequence[Timed]) -> Timed:
    """Of those that pass, the one that answers most images a second; the first where there was nothing to compare."""
    return max((one for one in found if not one.refused), key=lambda one: one.per_second, default=found[0])


def _times(
    ways: Sequence[Backend], contents: Sequence[bytes], threads: int, voice: Voice
) -> tuple[list[list[float]], list[float]]:
    """Seconds for each image alone, and images a second of all together (the best turn), of each way."""
    single: list[list[float]] = [[] for _ in ways]
    together = [0.0 for _ in ways]

    def run(way: Backend, some: Sequence[bytes]) -> float:
        pictures = [encoded(str(k), partial(bytes, content)) for k, content in enumerate(some)]
        begun = time.perf_counter()
        for _ in predict(way.recogniser, pictures, threads=threads):
            pass
        return time.perf_counter() - begun

    for turn in voice.progress(range(_TURNS + 1), total=_TURNS + 1, words="timing"):
        for way, one, place in zip(ways, single, range(len(ways)), strict=True):
            seconds = [run(way, [content]) for content in contents[turn::_TURNS] or contents]
            all_seconds = run(way, contents)
            if turn:  # the first turn warms up
                one += seconds
                together[place] = max(together[place], len(contents) / all_seconds)
    return single, together


def _contents(items: Sequence[Item]) -> list[bytes]:
    """The files of some items, evenly chosen; images that are no files as PNG."""
    sources = [item.source for item in evenly(items, _TIMED)]
    return [_png(source) if isinstance(source, PixelRow) else read_content(_file(source)) for source in sources]


def _file(source: Source) -> Path:
    if not isinstance(source, Path):
        raise TypeError(f"{source} is no image")
    return source


def _png(source: PixelRow) -> bytes:
    pixels, file = source.pixels, io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels).save(file, "PNG")
    return file.getvalue()
