"""Two exported files of one model side by side in onnxruntime, such as fp32 and int8, in batches of several sizes.

    python -m bench.exported A.onnx B.onnx DATA [--threads 2] [--turns 9] [--batches 1 8 16]

``whole`` is the file as it is, from images of one size; ``net`` is what lies between the fitted pixels and the answer.
Medians over turns, A and B one after the other in each.
"""

import argparse
import time
from collections.abc import Mapping
from pathlib import Path
from statistics import median

import numpy as np
import onnx
import onnxruntime
from PIL import Image

import visto
from visto.prediction.runtime import between

_RUNS = 3  # of each file in a turn
_REST = 0.1  # seconds in which the other file's threads, which wait actively after work, fall asleep


def main() -> None:
    asked = options()
    images = pictures(asked.data, max(asked.batches))
    print(f"images of {images.shape[1]}×{images.shape[2]}, {asked.threads} threads, milliseconds an image, medians")
    sessions = [parts(path, asked.threads) for path in (asked.a, asked.b)]
    fitted = sessions[0]["entry"].run(["fitted"], {"images": images})[0]
    given = {"whole": ("images", images), "net": ("fitted", fitted)}
    for part, (name, batch) in given.items():
        for size in asked.batches:
            times: list[list[float]] = [[], []]
            for _ in range(asked.turns):
                for its, session in zip(times, sessions, strict=True):
                    time.sleep(_REST)
                    session[part].run(None, {name: batch[:size]})  # wakes its threads
                    for _ in range(_RUNS):
                        begun = time.perf_counter()
                        session[part].run(None, {name: batch[:size]})
                        its.append(1000 * (time.perf_counter() - begun) / size)
            a, b = map(median, times)
            print(f"{part:6s} batch {size:3d}: {asked.a.name} {a:7.2f}, {asked.b.name} {b:7.2f}: {a / b:.2f} times")


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.exported", description="Two exported files side by side.")
    parser.add_argument("a", type=Path)
    parser.add_argument("b", type=Path)
    parser.add_argument("data")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--turns", type=int, default=9)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8, 16])
    return parser.parse_args()


def pictures(data: str, count: int) -> np.ndarray:
    """uint8 N×H×W×3, as many of one size as the data has most of first."""
    by_size: dict[tuple[int, int], list[np.ndarray]] = {}
    for item in visto.read(data).items:
        if isinstance(item.source, Path):
            with Image.open(item.source) as image:
                same = by_size.setdefault(image.size, [])
                same.append(np.asarray(image.convert("RGB")))
            if len(same) == count:
                return np.stack(same)
    raise SystemExit(f"{data} has no {count} files of one size")


def parts(path: Path, threads: int) -> Mapping[str, onnxruntime.InferenceSession]:
    graph = onnx.load(path)
    outputs = [value.name for value in graph.graph.output]
    inside = ["fitted_boxes" if name == "boxes" else name for name in outputs]
    return {
        "whole": opened(graph, threads),
        "entry": opened(between(graph, ["images"], ["fitted"]), threads),
        "net": opened(between(graph, ["fitted"], inside), threads),
    }


def opened(graph: onnx.ModelProto, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(graph.SerializeToString(), options, providers=["CPUExecutionProvider"])


if __name__ == "__main__":
    main()
