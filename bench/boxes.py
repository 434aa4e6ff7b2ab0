"""The judge of detectors: COCO's mean average precision by pycocotools, for whoever answered: no side judges itself.

    python bench/boxes.py DATA ANSWERS

DATA is a folder of Pascal VOC annotations with ImageSets/Main. ANSWERS is a JSON document with ``images``, the names
(without extension) of all images of the validation and test lists, and ``boxes``, each with ``image``, ``label``,
``score`` and ``box`` [x0, y0, x1, y1] in pixels of the original, edges counted from 0. The truth is read here, from the
XML files, and by none of the contenders' code. The last line is JSON: ``map``, ``map50`` and ``map75`` on test, the
first by class, and ``map_validation``.
"""

import argparse
import contextlib
import json
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

Truth = list[tuple[str, list[float]]]  # of one image: label and x, y, width, height


def truth_of(path: Path) -> Truth:
    """What one XML file says. Corners count from 1 and belong to the box; a single point is no box."""
    found = []
    for each in ET.parse(path).getroot().iter("object"):  # noqa: S314  published data, not a stranger's
        if each.findtext("difficult") == "1":
            raise SystemExit(f"{path}: a difficult box, of which this judge knows nothing")
        x0, y0, x1, y1 = (float(each.findtext(f"bndbox/{key}") or "nan") for key in ("xmin", "ymin", "xmax", "ymax"))
        if (x0, y0) != (x1, y1):
            found.append((str(each.findtext("name")), [x0 - 1, y0 - 1, x1 - x0 + 1, y1 - y0 + 1]))
    return found


def judged(truth: dict[str, Truth], answers: list[dict[str, Any]], classes: list[str]) -> dict[str, float]:
    """COCO's figures of the images that ``truth`` names, of at most 100 answers an image and class."""
    numbers = {name: k for k, name in enumerate(truth, start=1)}
    labels = {name: k for k, name in enumerate(classes, start=1)}
    boxes = [(numbers[name], labels[label], xywh) for name, some in truth.items() for label, xywh in some]
    coco = COCO()
    coco.dataset = {
        "info": {},
        "images": [{"id": k} for k in numbers.values()],
        "categories": [{"id": k, "name": name} for name, k in labels.items()],
        "annotations": [
            {"id": k, "image_id": image, "category_id": label, "bbox": xywh, "area": xywh[2] * xywh[3], "iscrowd": 0}
            for k, (image, label, xywh) in enumerate(boxes, start=1)
        ],
    }
    coco.createIndex()
    said = [
        {
            "image_id": numbers[each["image"]],
            "category_id": labels[each["label"]],
            "bbox": [x0, y0, x1 - x0, y1 - y0],
            "score": each["score"],
        }
        for each in answers
        if each["image"] in numbers
        for x0, y0, x1, y1 in [each["box"]]
    ]
    if not said:  # pycocotools cannot take none
        return dict.fromkeys(("map", "map50", "map75", *(f"map/{name}" for name in classes)), 0.0)
    found = COCOeval(coco, coco.loadRes(said), "bbox")
    found.evaluate()
    found.accumulate()
    found.summarize()
    precision = found.eval["precision"][..., 0, -1]  # IoU × recall × class; all sizes, 100 answers
    by_class = {f"map/{name}": float(precision[..., k].mean()) for k, name in enumerate(classes)}
    return {**dict(zip(("map", "map50", "map75"), map(float, found.stats), strict=False)), **by_class}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("answers", type=Path)
    asked = parser.parse_args()
    said = json.loads(asked.answers.read_text("utf-8"))
    lists = {name: (asked.data / "ImageSets/Main" / f"{name}.txt").read_text().split() for name in ("val", "test")}
    missing = {image for names in lists.values() for image in names} - set(said["images"])
    if missing:
        raise SystemExit(f"no answer for {len(missing)} images, such as {min(missing)}")
    truth = {
        split: {image: truth_of(asked.data / "Annotations" / f"{image}.xml") for image in names}
        for split, names in lists.items()
    }
    classes = sorted({label for images in truth.values() for some in images.values() for label, _ in some})
    with contextlib.redirect_stdout(sys.stderr):  # pycocotools talks
        test = judged(truth["test"], said["boxes"], classes)
        validation = judged(truth["val"], said["boxes"], classes)
    print(json.dumps({**test, "map_validation": validation["map"], "n": len(truth["test"])}))


if __name__ == "__main__":
    main()
