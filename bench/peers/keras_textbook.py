"""The textbook: the net and the settings of TensorFlow's own CNN tutorial, in Keras 3 on TensorFlow.

Three 3×3 convolutions of 32, 64, 64 channels with ReLU and no padding, two max-poolings, a dense layer of 64; Adam as
it comes, batches of 32, pixels in 0–1. Ten epochs on CIFAR-10, as in the tutorial; five on MNIST. The test images are
judged once, at the end. The last line on stdout is one JSON document.

https://www.tensorflow.org/tutorials/images/cnn
"""

import argparse
import gzip
import json
import os
import platform
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # read when it is imported

import keras
import numpy as np
import tensorflow as tf

EPOCHS = {"cifar-10": 10, "mnist": 5}


def cifar_10(root: Path, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Images N×32×32×3 and labels of the binary version: a label, then three planes."""
    names = [f"data_batch_{k}.bin" for k in range(1, 6)] if split == "train" else ["test_batch.bin"]
    folder = root / "cifar-10-batches-bin"
    records = np.concatenate([np.fromfile(folder / name, np.uint8).reshape(-1, 3073) for name in names])
    return records[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1), records[:, 0].astype(np.int64)


def mnist(root: Path, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Images N×28×28×1 and labels of the gzipped IDX files."""
    stem = "train" if split == "train" else "t10k"
    images = gzip.decompress((root / "mnist" / f"{stem}-images-idx3-ubyte.gz").read_bytes())
    labels = gzip.decompress((root / "mnist" / f"{stem}-labels-idx1-ubyte.gz").read_bytes())
    pixels = np.frombuffer(images, np.uint8, offset=16).reshape(-1, 28, 28, 1)
    return pixels, np.frombuffer(labels, np.uint8, offset=8).astype(np.int64)


READERS = {"cifar-10": cifar_10, "mnist": mnist}


def textbook(shape: tuple[int, ...]) -> keras.Model:
    """The tutorial's net for ten classes, compiled as there."""
    layers = keras.layers
    model = keras.Sequential(
        [
            layers.Input(shape=shape),
            layers.Conv2D(32, (3, 3), activation="relu"),
            layers.MaxPooling2D((2, 2)),
            layers.Conv2D(64, (3, 3), activation="relu"),
            layers.MaxPooling2D((2, 2)),
            layers.Conv2D(64, (3, 3), activation="relu"),
            layers.Flatten(),
            layers.Dense(64, activation="relu"),
            layers.Dense(10),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer="adam", loss=loss, metrics=["accuracy"])
    return model


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", choices=READERS)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--epochs", type=int, help="instead of the textbook's, to try the script")
    parser.add_argument("--limit", type=int, help="train and judge on so many images, to try the script")
    asked = parser.parse_args()
    tf.config.threading.set_intra_op_parallelism_threads(asked.threads)
    tf.config.threading.set_inter_op_parallelism_threads(asked.threads)
    keras.utils.set_random_seed(asked.seed)
    root, read = Path(os.environ["VISTO_DATA"]), READERS[asked.data]
    images, labels = (part[: asked.limit] for part in read(root, "train"))
    test_images, test_labels = (part[: asked.limit] for part in read(root, "test"))
    scaled, test_scaled = images.astype(np.float32) / 255, test_images.astype(np.float32) / 255
    began = time.perf_counter()
    model = textbook(images.shape[1:])
    epochs = asked.epochs or EPOCHS[asked.data]
    model.fit(scaled, labels, batch_size=32, epochs=epochs, verbose=2)
    fit_seconds = time.perf_counter() - began
    _, accuracy = model.evaluate(test_scaled, test_labels, batch_size=32, verbose=0)
    versions = {"python": platform.python_version(), "keras": keras.__version__, "tensorflow": tf.__version__}
    found = {"accuracy": accuracy, "n": len(test_labels), "epochs": epochs, "fit_seconds": fit_seconds}
    print(json.dumps({**found, "versions": versions}))


if __name__ == "__main__":
    main()
