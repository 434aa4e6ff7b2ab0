"""Clips written for tests: folders of frames, and GIF and WebP files that move or do not."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image


def write_frames(folder: Path, names: Sequence[str], *, size: tuple[int, int] = (12, 8)) -> Path:
    """One grey picture a name, each a little brighter than the one before."""
    folder.mkdir(parents=True, exist_ok=True)
    for k, name in enumerate(names):
        Image.new("L", size, 10 * k % 256).save(folder / name)
    return folder


def write_clip(folder: Path, frames: int = 5, *, start: int = 1) -> Path:
    return write_frames(folder, [f"{number:04d}.png" for number in range(start, start + frames)])


def write_film(path: Path, frames: int = 4) -> Path:
    """A GIF or WebP by its suffix; with one frame a still image."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(0)
    first, *rest = [Image.fromarray(noise.integers(0, 255, (8, 12, 3), dtype=np.uint8)) for _ in range(frames)]
    if rest:
        first.save(path, save_all=True, append_images=rest, duration=40)
    else:
        first.save(path)
    return path
