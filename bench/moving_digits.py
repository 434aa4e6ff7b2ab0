"""Clips of two digits that come one after the other, labelled by which comes first: what is blind to order must guess.

    python -m bench.moving_digits OUT [--clips 3000] [--frames 12] [--mnist FOLDER]

The two kinds of digit are 3 and 7. Each clip shows both, in random order, each while it moves across half of the
frames; the mean of the frames is the same whichever came first. Digits, ways and speeds are drawn anew for each clip,
those of the test clips from MNIST's test images.
"""

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import visto
from visto.data.dataset import PixelRow

KINDS = (3, 7)
_SIDE = 40  # pixels of a frame


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--clips", type=int, default=3000)
    parser.add_argument("--frames", type=int, default=12)
    parser.add_argument("--mnist", type=Path, required=True)
    asked = parser.parse_args()
    digits = digits_of(asked.mnist)
    random = np.random.default_rng(0)
    for split, share, source in (("train", 0.7, "train"), ("val", 0.15, "train"), ("test", 0.15, "test")):
        for number in range(round(asked.clips * share)):
            first = number % 2
            frames = clip(digits[source], first, asked.frames, random)
            folder = asked.out / split / f"{KINDS[first]}_first" / f"{number:05}"
            folder.mkdir(parents=True, exist_ok=True)
            for place, frame in enumerate(frames):
                Image.fromarray(frame).save(folder / f"{place:03}.png")


def digits_of(mnist: Path) -> dict[str, tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
    """The images of both kinds, of the train and of the test part."""
    data = visto.read(mnist)
    found = {}
    for split, named in (("train", ("train", "validation")), ("test", ("test",))):
        rows: list[list[NDArray[np.uint8]]] = [[], []]
        for item in data.items:
            if item.split in named and item.target is not None and isinstance(item.source, PixelRow):
                kind = int(data.classes[item.target.classes[0]])
                if kind in KINDS:
                    rows[KINDS.index(kind)].append(item.source.pixels[..., 0])
        found[split] = (np.stack(rows[0]), np.stack(rows[1]))
    return found


def clip(
    digits: tuple[NDArray[np.uint8], NDArray[np.uint8]], first: int, frames: int, random: np.random.Generator
) -> list[NDArray[np.uint8]]:
    """The frames of one clip whose ``first`` digit is of that kind."""
    out = []
    for kind in (first, 1 - first):
        digit = digits[kind][random.integers(len(digits[kind]))]
        start, end = random.uniform(0, _SIDE - 28, (2, 2))
        for part in np.linspace(0, 1, frames // 2):
            top, left = np.round(start + (end - start) * part).astype(int)
            frame = np.zeros((_SIDE, _SIDE), np.uint8)
            frame[top : top + 28, left : left + 28] = digit
            out.append(frame)
    return out


if __name__ == "__main__":
    main()
