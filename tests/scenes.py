"""Made-up pictures of red squares and blue discs on noise, and where they are: a detector learns them in seconds."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

CLASSES = ("square", "disc")
COLOURS = {"square": (230, 40, 30), "disc": (40, 70, 240)}

Thing = tuple[str, float, float, float, float]  # class, x0, y0, x1, y1
Pixels = NDArray[np.uint8]


def painted(things: Sequence[Thing], *, size: tuple[int, int] = (64, 64), seed: int = 0) -> Pixels:
    """An image H×W×3 of dark noise with things on it; ``size`` is (height, width)."""
    pixels = np.random.default_rng(seed).integers(0, 60, (*size, 3), dtype=np.uint8)
    y, x = np.mgrid[: size[0], : size[1]] + 0.5
    for kind, x0, y0, x1, y1 in things:
        inside = (x > x0) & (x < x1) & (y > y0) & (y < y1)
        if kind == "disc":
            inside = ((2 * x - x0 - x1) / (x1 - x0)) ** 2 + ((2 * y - y0 - y1) / (y1 - y0)) ** 2 < 1
        pixels[inside] = COLOURS[kind]
    return pixels


def scene(random: np.random.Generator, *, size: tuple[int, int] = (64, 64), most: int = 3) -> list[Thing]:
    """Up to ``most`` things that keep apart, none too."""
    found: list[Thing] = []
    for _ in range(int(random.integers(0, most + 1))):
        side = int(random.integers(14, 26))
        x0, y0 = (int(random.integers(0, extent - side + 1)) for extent in size[::-1])
        box = (float(x0), float(y0), float(x0 + side), float(y0 + side))
        if all(x0 > b[3] or box[2] < b[1] or y0 > b[4] or box[3] < b[2] for b in found):
            found.append((CLASSES[int(random.integers(2))], *box))
    return found


def write_scenes(
    root: Path, scenes: Sequence[Sequence[Thing]], *, splits: Sequence[str] = (), size: tuple[int, int] = (64, 64)
) -> Path:
    """PNG files below ``root/img`` and a list ``boxes.csv`` of what is on them."""
    (root / "img").mkdir(parents=True)
    rows = ["image,class,xmin,ymin,xmax,ymax,split"]
    for k, things in enumerate(scenes):
        Image.fromarray(painted(things, size=size, seed=k)).save(root / "img" / f"{k}.png")
        split = splits[k] if splits else ""
        lines = [",".join(map(str, thing)) for thing in things] or [",,,,"]
        rows += [f"img/{k}.png,{line},{split}" for line in lines]
    (root / "boxes.csv").write_text("\n".join(rows) + "\n")
    return root


def make_scenes(root: Path, n: int, seed: int = 0, *, size: tuple[int, int] = (64, 64)) -> Path:
    """``n`` scenes: of five, three to learn from, one to validate and one to test."""
    random = np.random.default_rng(seed)
    kinds = ("train", "train", "val", "train", "test")
    return write_scenes(
        root, [scene(random, size=size) for _ in range(n)], splits=[kinds[k % 5] for k in range(n)], size=size
    )
