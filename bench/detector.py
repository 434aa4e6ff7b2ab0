"""What a detector of Visto answers, for the judge, and how fast, in one process, as a program that uses it would ask.

    python bench/detector.py BUNDLE DATA -o ANSWERS --threads 2

DATA is a folder of Pascal VOC with ImageSets/Main. Every box that mAP is computed from is written, of the validation
and of the test images. Timed over the test images after a warm-up, their files in memory: one image from its file to
its boxes, the same from its decoded pixels (as the decoder gives them to this model), and all of them at once from
their files. The last line is JSON; ``bundle_mb`` is the size of the bundle in 10⁶ bytes, ``curve`` is what the run
beside the bundle noted: after which share of its epochs it had which mAP on validation, by its own judging.
"""

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

from visto import api
from visto.data.content import read_content
from visto.data.decode import Decoded, decode
from visto.memory import keep_freed_memory
from visto.prediction import Predicted, encoded, predict
from visto.types import Answer, Boxes

WARM_UP = 10


def records(name: str, boxes: Boxes, classes: Sequence[str]) -> list[dict[str, Any]]:
    """The boxes of one image as the judge takes them."""
    assert boxes.scores is not None
    columns = zip(boxes.labels.tolist(), boxes.scores.tolist(), boxes.xyxy.tolist(), strict=True)
    return [{"image": name, "label": classes[label], "score": score, "box": box} for label, score, box in columns]


def timed(ask: Callable[[Any], Answer[Boxes]], images: Sequence[Any]) -> tuple[list[Answer[Boxes]], list[float]]:
    """The answer for each image, and its seconds; some images are asked about before, untimed."""
    for image in images[:WARM_UP]:
        ask(image)
    answers, seconds = [], []
    for image in images:
        began = time.perf_counter()
        answers.append(ask(image))
        seconds.append(time.perf_counter() - began)
    return answers, seconds


def milliseconds(name: str, seconds: Sequence[float]) -> dict[str, float]:
    """Median and 90th percentile."""
    p50, p90 = statistics.median(seconds), statistics.quantiles(seconds, n=10)[-1]
    return {f"{name}_p50_ms": round(1000 * p50, 2), f"{name}_p90_ms": round(1000 * p90, 2)}


def curve_beside(bundle: Path) -> list[tuple[float, float]]:
    """(share of the epochs, mAP on validation) of each look; nothing of a model that learns in stages."""
    text = (bundle.with_suffix(".run") / "history.jsonl").read_text("utf-8")
    rows = [json.loads(line) for line in text.splitlines()]
    return [(row["epoch"] / rows[-1]["epoch"], row["validation_map"]) for row in rows if "validation_map" in row]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("bundle", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    keep_freed_memory()  # as the command does
    lists = {name: (asked.data / "ImageSets/Main" / f"{name}.txt").read_text().split() for name in ("val", "test")}
    files = {name: asked.data / "JPEGImages" / f"{name}.jpg" for names in lists.values() for name in names}
    for file in files.values():
        file.read_bytes()  # every contender is timed when its files are in memory
    model, test = api.load(asked.bundle), [files[name] for name in lists["test"]]
    recogniser = model.recogniser

    def ask_decoded(decoded: Decoded) -> Answer[Boxes]:
        image, view = recogniser.fit(decoded.batch, decoded.original), recogniser.fit.view(decoded.original)
        answer = recogniser.answers(image, [view])[0]
        return recogniser.task.doubt(answer, threshold=0, confidence=None)

    def all_of(images: Sequence[Path]) -> list[Predicted]:
        pictures = [encoded(image.stem, partial(read_content, image)) for image in images]
        found = list(predict(recogniser, pictures, threshold=0, threads=asked.threads))
        return [each for each in found if isinstance(each, Predicted)]

    answers, alone = timed(lambda file: model.predict(file, threshold=0), test)
    _, without = timed(ask_decoded, [decode(file.read_bytes(), at_least=recogniser.fit.at_least) for file in test])
    began = time.perf_counter()
    together = all_of(test)
    rate = len(together) / (time.perf_counter() - began)
    said = [(file.stem, answer) for file, answer in zip(test, answers, strict=True)]
    said += [(each.id, each.answer) for each in all_of([files[name] for name in lists["val"]])]
    boxes = [record for name, answer in said for record in records(name, answer.value, model.classes)]
    asked.out.write_text(json.dumps({"images": [name for name, _ in said], "boxes": boxes}), encoding="utf-8")
    speeds = {**milliseconds("latency", alone), **milliseconds("decoded", without)}
    size = sum(file.stat().st_size for file in asked.bundle.iterdir()) / 1e6
    others = {"images_per_second": round(rate, 2), "bundle_mb": round(size, 1), "curve": curve_beside(asked.bundle)}
    print(json.dumps({**speeds, **others}))


if __name__ == "__main__":
    main()
