"""From the bytes of a JPEG to the answer: torch as one finds it, onnxruntime, and Visto's ways, in turns in one run.

    python -m bench.answers X.visto DATA [--threads 2] [--turns 7]

``torch and Pillow`` is what one writes first: Pillow decodes and resizes, torch runs the net as it was trained, batch
norms and all, in fp32. ``onnxruntime and Pillow`` runs the exported fp32 graph instead, with its own options. The rest
are what ``visto bench`` measures. All get the same images in memory, alone and 64 of them. ``body`` is the net alone on
images that are ready, one and 16 of them.
"""

import argparse
import io
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np
import onnxruntime
import torch
from PIL import Image

import visto
from visto.data.content import read_content
from visto.exporting.backends import backends
from visto.exporting.loss import Loss
from visto.exporting.onnx_file import compared_on
from visto.models import build_model
from visto.prediction import TorchRecogniser, encoded, predict
from visto.types import Silent

_IMAGES = 64
_TOGETHER = 16

Way = Callable[[Sequence[bytes]], object]


def main() -> None:
    asked = options()
    torch.set_num_threads(asked.threads)
    bundle = visto.load(asked.bundle).bundle
    dataset = visto.read(asked.data, split_seed=bundle.manifest.data.get("split_seed", 0))
    recogniser = TorchRecogniser(bundle)
    items = compared_on(dataset, recogniser)
    contents = [read_content(item.source) for item in items[:_IMAGES] if isinstance(item.source, Path)]
    found = backends(bundle, dataset, Loss(recogniser, items, Silent()), Silent())
    graph = next(way.graph for way in found if way.name == "onnxruntime float32")
    assert graph is not None
    ways: dict[str, Way] = {"torch and Pillow": eager(recogniser), "onnxruntime and Pillow": plain(recogniser, graph)}
    for way in found:
        ways[f"visto, {way.name}"] = partial(by_visto, way.recogniser, asked.threads)
    fitted = torch.cat([ready(recogniser, content) for content in contents[:_TOGETHER]])
    bodies = {f"body, {way.name}": way.recogniser.tensors for way in found}
    session = onnxruntime_session(graph)
    bodies["body, onnxruntime float32, its own options"] = lambda images: session.run(None, {"fitted": images.numpy()})

    single: dict[str, list[float]] = {name: [] for name in [*ways, *bodies]}
    many: dict[str, list[float]] = {name: [] for name in [*ways, *bodies]}
    for turn in range(asked.turns):
        for name, way in ways.items():
            way(contents[:_TOGETHER])  # wakes its threads, and lets those of the one before fall asleep
            single[name] += [timed(way, [content]) for content in contents[turn :: asked.turns]]
            many[name].append(timed(way, contents) / len(contents))
        for name, run in bodies.items():
            run(fitted)
            single[name] += [timed(run, fitted[k : k + 1]) for k in range(_TOGETHER)]
            many[name] += [timed(run, fitted) / _TOGETHER for _ in range(3)]
    print(f"{bundle.manifest.model.name}, {asked.threads} threads; ms an image: alone (median), many together (median)")
    for name in single:
        print(f"{name:45s} {1000 * median(single[name]):8.2f} {1000 * median(many[name]):8.2f}")


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.answers", description="From JPEG bytes to the answer.")
    parser.add_argument("bundle")
    parser.add_argument("data")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--turns", type=int, default=7)
    return parser.parse_args()


def timed(way: Callable[..., object], given: object) -> float:
    begun = time.perf_counter()
    way(given)
    return time.perf_counter() - begun


def by_visto(recogniser: object, threads: int, contents: Sequence[bytes]) -> None:
    pictures = [encoded(str(k), partial(bytes, content)) for k, content in enumerate(contents)]
    for _ in predict(recogniser, pictures, threads=threads):  # type: ignore[arg-type]
        pass


def opened(recogniser: TorchRecogniser, content: bytes) -> np.ndarray:  # type: ignore[type-arg]
    """As one does it with Pillow: H×W×3 uint8 at the size that the net takes."""
    size = (recogniser.fit.size.width, recogniser.fit.size.height)
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB").resize(size, Image.Resampling.BILINEAR))


def eager(recogniser: TorchRecogniser) -> Way:
    """The net as it was trained: nothing folded, the layout that torch gives it."""
    net = build_model(recogniser.bundle.manifest.model)
    net.load_state_dict(dict(recogniser.bundle.weights))
    net = net.eval().to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]

    def way(contents: Sequence[bytes]) -> None:
        for start in range(0, len(contents), _TOGETHER):
            some = [opened(recogniser, content) for content in contents[start : start + _TOGETHER]]
            images = torch.from_numpy(np.stack(some)).permute(0, 3, 1, 2).contiguous()
            with torch.inference_mode():
                recogniser.task.answers(recogniser.task.head(net(recogniser.normalise(images))), ())

    return way


def plain(recogniser: TorchRecogniser, graph: bytes) -> Way:
    session = onnxruntime_session(graph)
    names = [value.name for value in session.get_outputs()]

    def way(contents: Sequence[bytes]) -> None:
        for start in range(0, len(contents), _TOGETHER):
            some = [opened(recogniser, content) for content in contents[start : start + _TOGETHER]]
            found = session.run(None, {"fitted": np.ascontiguousarray(np.stack(some).transpose(0, 3, 1, 2))})
            tensors = dict(zip([n.removeprefix("fitted_") for n in names], map(torch.from_numpy, found), strict=True))
            recogniser.task.answers(tensors, ())

    return way


def onnxruntime_session(graph: bytes) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def ready(recogniser: TorchRecogniser, content: bytes) -> torch.Tensor:
    decoded = encoded("", partial(bytes, content)).read(recogniser.fit.at_least)
    return recogniser.fit(decoded.batch, decoded.original)


if __name__ == "__main__":
    main()
