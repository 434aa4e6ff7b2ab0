"""Ultralytics' YOLO26n from its YAML, trained from nothing by its defaults, at 416 pixels, on a folder of Pascal VOC.

Ultralytics is under the AGPL. It is installed in an environment of its own and run there through its public interface,
as any user would; nothing of it is read, copied or imported by Visto, and this file is no part of the package.

The annotations are written as YOLO labels into a work folder, which is removed at the end. Settings: no network, no
telemetry, no plots, as many loader processes as threads; all else as it comes, with a look at the validation images
after every epoch, by which it keeps its best weights. On two cores it would take one thread; here it takes as many as
it is given. Timed over the test images after a warm-up, their files in memory: one image from its file to its boxes,
the same from pixels decoded by OpenCV, and all of them in batches of 16 from their files. Its answers on validation
and test images are written for ``bench/boxes.py``. The last line on stdout is one JSON document.
"""

import argparse
import csv
import json
import os
import platform
import shutil
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

MODEL, SIZE, EPOCHS, WARM_UP = "yolo26n.yaml", 416, 60, 10
Box = tuple[str, float, float, float, float]  # label, then the edges in pixels


def boxes_of(path: Path) -> tuple[int, int, list[Box]]:
    """Width, height and boxes of an image. Corners count from 1 and belong to the box; a single point is no box."""
    root = ET.parse(path).getroot()  # noqa: S314  published data, not a stranger's
    width, height = (int(root.findtext(f"size/{key}") or 0) for key in ("width", "height"))
    found: list[Box] = []
    for each in root.iter("object"):
        x0, y0, x1, y1 = (float(each.findtext(f"bndbox/{key}") or "nan") for key in ("xmin", "ymin", "xmax", "ymax"))
        if (x0, y0) != (x1, y1):
            found.append((str(each.findtext("name")), x0 - 1, y0 - 1, x1, y1))
    return width, height, found


def convert(data: Path, lists: dict[str, list[str]], work: Path) -> Path:
    """Copy the images to learn from and to look at, with a line ``class x y width height`` (0–1) a box.

    Gives the YAML file that describes them.
    """
    read = {split: {name: boxes_of(data / "Annotations" / f"{name}.xml") for name in lists[split]} for split in lists}
    classes = sorted({box[0] for images in read.values() for _, _, boxes in images.values() for box in boxes})
    for split in ("train", "val"):
        images, labels = work / "images" / split, work / "labels" / split
        images.mkdir(parents=True)
        labels.mkdir(parents=True)
        for name, (width, height, boxes) in read[split].items():
            shutil.copyfile(data / "JPEGImages" / f"{name}.jpg", images / f"{name}.jpg")
            lines = [
                f"{classes.index(label)} {(x0 + x1) / 2 / width:.6f} {(y0 + y1) / 2 / height:.6f} "
                f"{(x1 - x0) / width:.6f} {(y1 - y0) / height:.6f}\n"
                for label, x0, y0, x1, y1 in boxes
            ]
            (labels / f"{name}.txt").write_text("".join(lines), encoding="utf-8")
    content = {"path": str(work), "train": "images/train", "val": "images/val", "names": classes}
    path = work / "data.yaml"
    path.write_text(json.dumps(content), encoding="utf-8")  # JSON is YAML
    return path


def records(name: str, result: Any) -> list[dict[str, Any]]:
    """The boxes of one image as the judge takes them."""
    boxes = result.boxes
    columns = zip(boxes.cls.tolist(), boxes.conf.tolist(), boxes.xyxy.tolist(), strict=True)
    return [
        {"image": name, "label": result.names[int(label)], "score": score, "box": box} for label, score, box in columns
    ]


def timed(ask: Callable[[Any], Any], images: Sequence[Any]) -> tuple[list[Any], list[float]]:
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


def curve_of(path: Path) -> list[tuple[float, float]]:
    """(share of the epochs, mAP on validation by its own judging) after each epoch."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = [{key.strip(): value for key, value in row.items()} for row in csv.DictReader(file)]
    return [((k + 1) / len(rows), float(row["metrics/mAP50-95(B)"])) for k, row in enumerate(rows)]


def no_network(*_: Any, **__: Any) -> Any:
    """In the place of the look-up of addresses: told to be offline, it asks for one all the same."""
    raise socket.gaierror(socket.EAI_FAIL, "no network in a measurement")


def run(asked: argparse.Namespace, work: Path) -> dict[str, Any]:
    """Train, answer, be timed."""
    os.environ |= {"YOLO_CONFIG_DIR": str(work / "config"), "YOLO_OFFLINE": "true", "YOLO_AUTOINSTALL": "false"}
    (work / "config").mkdir()
    socket.getaddrinfo = no_network
    import cv2  # only now: what follows reads the variables above when it is imported
    import torch
    from ultralytics import YOLO, settings

    settings.update({"sync": False, "tensorboard": False, "runs_dir": str(work), "weights_dir": str(work)})
    data = Path(os.environ["VISTO_DATA"]) / asked.data
    lists = {
        name: (data / "ImageSets/Main" / f"{name}.txt").read_text().split()[: asked.limit]
        for name in ("train", "val", "test")
    }
    yaml = convert(data, lists, work)

    worked_with: set[int] = set()

    def take_threads(_: Any) -> None:
        torch.set_num_threads(asked.threads)

    def note_threads(_: Any) -> None:
        worked_with.add(torch.get_num_threads())

    began = time.perf_counter()
    model = YOLO(MODEL)
    for moment in ("on_train_start", "on_train_epoch_start", "on_val_start", "on_predict_start"):
        model.add_callback(moment, take_threads)  # after it has chosen itself
    for moment in ("on_train_batch_end", "on_val_batch_end", "on_predict_batch_end"):
        model.add_callback(moment, note_threads)
    model.train(
        data=str(yaml),
        imgsz=asked.size,
        epochs=asked.epochs,
        seed=asked.seed,
        pretrained=False,
        device="cpu",
        workers=asked.threads,
        plots=False,
        project=str(work),
        name="run",
    )
    fit_seconds = time.perf_counter() - began
    common = {"imgsz": asked.size, "conf": 0.001, "max_det": 300, "device": "cpu", "verbose": False}

    def ask(image: Any) -> Any:
        return model.predict(image, **common)[0]

    test, val = ([data / "JPEGImages" / f"{name}.jpg" for name in lists[split]] for split in ("test", "val"))
    for file in test:
        file.read_bytes()
    answers, alone = timed(ask, [str(file) for file in test])
    _, without = timed(ask, [cv2.imread(str(file)) for file in test])
    began = time.perf_counter()
    together = model.predict([str(file) for file in test], batch=16, **common)
    rate = len(together) / (time.perf_counter() - began)
    said = [(file.stem, answer) for file, answer in zip(test, answers, strict=True)]
    said += [(file.stem, ask(str(file))) for file in val]
    boxes = [record for name, answer in said for record in records(name, answer)]
    asked.out.write_text(json.dumps({"images": [name for name, _ in said], "boxes": boxes}), encoding="utf-8")
    if worked_with != {asked.threads}:
        raise SystemExit(f"it worked with {sorted(worked_with)} threads, not {asked.threads}")
    packages = ("ultralytics", "torch", "torchvision", "opencv-python", "numpy")
    return {
        "fit_seconds": fit_seconds,
        "epochs": asked.epochs,
        **milliseconds("latency", alone),
        **milliseconds("decoded", without),
        "images_per_second": round(rate, 2),
        "curve": curve_of(work / "run" / "results.csv"),
        "versions": {"python": platform.python_version(), **{name: version(name) for name in packages}},
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", help="a folder of VISTO_DATA: Pascal VOC with ImageSets/Main")
    parser.add_argument("-o", "--out", type=Path, required=True, help="where its answers go")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--size", type=int, default=SIZE)
    parser.add_argument("--limit", type=int, help="so many images of each split, to try the script")
    asked = parser.parse_args()
    asked.out = asked.out.resolve()
    with tempfile.TemporaryDirectory(prefix="ultralytics-") as work:
        found = run(asked, Path(work))
    sys.stdout.flush()
    print(json.dumps(found))


if __name__ == "__main__":
    main()
