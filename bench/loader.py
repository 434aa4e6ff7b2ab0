"""Visto's own way from photo files to training batches, timed: images a second, as one JSON document on stdout.

The batches are those of the peer it is compared with: 32 images of 224 pixels, a random part zoomed, mirrored at
random, normalised. ``--epoch cold`` times the first epoch of a first run: every file is read, decoded and kept, and the
loops in C are built. ``--epoch warm`` times the first epoch of a later run: every file is read and found by its
content. ``--epoch further`` times any other epoch of either: no file is read.
"""

import argparse
import json
import os
import platform
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

import torch

from visto.data import read
from visto.data.cache import Pixels, materialise
from visto.data.dataset import Item
from visto.data.loader import Order, gather_augmented
from visto.memory import keep_freed_memory
from visto.preprocess import Standard

BATCH, SIZE = 32, 224
CHANGES = ("flip", "zoom")  # the two that the peer makes


def pixels_of(items: list[Item], standard: Standard, threads: int) -> Pixels:
    """Decoded and fitted images, from the files or from the cache."""
    return materialise(items, standard.fit, threads=threads)


def epoch(pixels: Pixels, standard: Standard, seed: int) -> int:
    """Make every training batch of one epoch; gives how many images were in them."""
    random = torch.Generator().manual_seed(seed)
    order = Order(len(pixels), BATCH)
    order.shuffle(0, random)
    count = 0
    for step in range(order.steps_per_epoch):
        images = gather_augmented(pixels, order.rows(step), CHANGES, random)
        batch = standard.normalise(images).contiguous(memory_format=torch.channels_last)
        count += len(batch)
    return count


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", help="a folder of VISTO_DATA")
    parser.add_argument("--epoch", choices=("cold", "warm", "further"), required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    keep_freed_memory()  # as the command does
    with tempfile.TemporaryDirectory(prefix="visto-loader-") as cache:
        os.environ["VISTO_CACHE"] = cache  # our own, and empty
        items = [item for item in read(Path(os.environ["VISTO_DATA"]) / asked.data).items if item.split == "train"]
        mean, std = [127 / 255] * 3, [128 / 255] * 3
        standard = Standard(size=[SIZE, SIZE], channels=3, crop="middle", mean=mean, std=std)
        for item in items:  # the peer, too, is timed when its files are in memory
            assert isinstance(item.source, Path)
            item.source.read_bytes()
        if asked.epoch != "cold":
            kept = pixels_of(items, standard, asked.threads)
            epoch(kept, standard, asked.seed)  # as the run before did, and as the peer does before it is timed
        began = time.perf_counter()
        if asked.epoch != "further":
            kept = pixels_of(items, standard, asked.threads)
        count = epoch(kept, standard, asked.seed)
        seconds = time.perf_counter() - began
    versions = {"python": platform.python_version(), **{name: version(name) for name in ("visto", "torch")}}
    print(json.dumps({"images_per_second": count / seconds, "images": count, "versions": versions}))


if __name__ == "__main__":
    main()
