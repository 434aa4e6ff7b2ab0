"""What the tests of boxes share: images of any size, and what a reader said of each image and box."""

from pathlib import Path

from PIL import Image

from visto.data.dataset import Dataset
from visto.types import Boxes

Box = tuple[float, float, float, float]


def image(path: Path, width: int = 40, height: int = 30, *, orientation: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    exif = Image.Exif()
    if orientation:
        exif[0x0112] = orientation
    Image.new("L", (width, height)).save(path, exif=exif)
    return path


def text(path: Path, content: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")
    return path


def boxes(data: Dataset) -> dict[str, list[tuple[str, list[float]]]]:
    """Class and edges of every box, by image."""
    return {
        item.id: [(data.classes[k], xyxy) for k, xyxy in zip(target.labels.tolist(), target.xyxy.tolist(), strict=True)]
        for item in data.items
        if isinstance(target := item.target, Boxes)
    }


def said(data: Dataset) -> dict[str, tuple[str, str]]:
    """What became of everything that was not simply kept."""
    found = {entry.id: (entry.status, entry.reason) for entry in data.ledger}
    assert len(found) == len(data.ledger), "one word on each"
    return {id: word for id, word in found.items() if word != ("kept", "")}


def voc(objects: list[tuple[str, str]], *, filename: str = "", size: tuple[int, int] | None = None) -> str:
    """A Pascal VOC file: objects as (name, what else stands in them)."""
    stated = f"<size><width>{size[0]}</width><height>{size[1]}</height><depth>3</depth></size>" if size else ""
    inside = "".join(f"<object><name>{name}</name>{rest}</object>" for name, rest in objects)
    return f"<annotation><filename>{filename}</filename>{stated}{inside}</annotation>"


def corners(x0: object, y0: object, x1: object, y1: object) -> str:
    inside = "".join(
        f"<{key}>{value}</{key}>" for key, value in zip(("xmin", "ymin", "xmax", "ymax"), (x0, y0, x1, y1), strict=True)
    )
    return f"<bndbox>{inside}</bndbox>"
