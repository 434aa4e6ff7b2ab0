"""The textbook: MNIST row by row through an LSTM, in Keras 3 on TensorFlow.

One layer of 128 units over 28 rows of 28 pixels in 0–1, a dense softmax on its last state; Adam at 1e-3, batches of
128. The last line on stdout is one JSON document. With ``--curve`` it says after each epoch what it would get, to find
out how many epochs a figure takes.
"""

import argparse
import json
import os
import platform
import sys
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # read when it is imported

import keras
import numpy as np
import tensorflow as tf

sys.path.insert(0, str(Path(__file__).parent))

from keras_textbook import mnist


def recurrent() -> keras.Model:
    """As in the books: an LSTM, a dense layer."""
    layers = keras.layers
    model = keras.Sequential([layers.Input(shape=(28, 28)), layers.LSTM(128), layers.Dense(10, activation="softmax")])
    loss = keras.losses.SparseCategoricalCrossentropy()
    model.compile(optimizer=keras.optimizers.Adam(1e-3), loss=loss, metrics=["accuracy"])
    return model


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--curve", action="store_true", help="judge the test images after each epoch")
    parser.add_argument("--limit", type=int, help="train and judge on so many images, to try the script")
    asked = parser.parse_args()
    tf.config.threading.set_intra_op_parallelism_threads(asked.threads)
    tf.config.threading.set_inter_op_parallelism_threads(asked.threads)
    keras.utils.set_random_seed(asked.seed)
    root = Path(os.environ["VISTO_DATA"])
    images, labels = (part[: asked.limit] for part in mnist(root, "train"))
    test_images, test_labels = (part[: asked.limit] for part in mnist(root, "test"))
    scaled, test_scaled = (part[..., 0].astype(np.float32) / 255 for part in (images, test_images))
    began, model = time.perf_counter(), recurrent()
    test = (test_scaled, test_labels)
    judged = test if asked.curve else None
    model.fit(scaled, labels, batch_size=128, epochs=asked.epochs, validation_data=judged, verbose=2)
    fit_seconds = time.perf_counter() - began
    _, accuracy = model.evaluate(*test, batch_size=128, verbose=0)
    versions = {"python": platform.python_version(), "keras": keras.__version__, "tensorflow": tf.__version__}
    found = {"accuracy": accuracy, "n": len(test_labels), "epochs": asked.epochs, "fit_seconds": fit_seconds}
    print(json.dumps({**found, "versions": versions}))


if __name__ == "__main__":
    main()
