"""scikit-learn by itself on MNIST, as its users write it: pixels in 0–1, one estimator, all cores where it can.

    python bench/classic.py svm|knn|forest|tree --seed 1 --threads 2

The last line is JSON: accuracy on the official test set, seconds of fit and predict. ``--rate`` times the prediction of
k nearest neighbours alone, scikit-learn's brute force or (``--engine visto``) ours, on the same pixels.
"""

import argparse
import gzip
import json
import os
import struct
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

Array = NDArray[Any]


def read(name: str) -> Array:
    folder = Path(os.environ["VISTO_DATA"]) / "mnist"
    path = next(p for p in sorted(folder.rglob(f"{name}*")) if p.is_file())
    content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    dimensions = content[3]
    shape = struct.unpack(f">{dimensions}I", content[4 : 4 + 4 * dimensions])
    return np.frombuffer(content, np.uint8, offset=4 + 4 * dimensions).reshape(shape)


def estimator(name: str, seed: int, threads: int) -> Any:
    """With the settings that visto train --model takes, on pixels."""
    return {
        "svm": lambda: SVC(C=10, cache_size=2000),
        "knn": lambda: KNeighborsClassifier(5, weights="distance", algorithm="brute", n_jobs=threads),
        "forest": lambda: RandomForestClassifier(100, random_state=seed, n_jobs=threads),
        "tree": lambda: DecisionTreeClassifier(min_samples_leaf=3, random_state=seed),
    }[name]()


def rate(engine: str, x: Array, y: Array, test: Array, truth: Array) -> dict[str, float]:
    """Images a second of 10,000 against 60,000, and their accuracy; the best of three turns."""
    if engine == "visto":
        import torch

        from visto.memory import keep_freed_memory
        from visto.models.described import main_axes
        from visto.models.knn import indexed, nearest, vote_weights

        keep_freed_memory()  # as every command does
        pixels, labels, mean = torch.from_numpy(x), torch.from_numpy(y).long(), torch.from_numpy(x).mean(0)
        axes = main_axes(pixels - mean, pixels.shape[1])  # part of the fit, as in --model knn --set components=0
        index, queries = indexed((pixels - mean) @ axes), torch.from_numpy(test)

        def predict() -> Array:
            found = []
            for part in queries.split(1024):
                distances, places = nearest((part - mean) @ axes, index, 5)
                votes = torch.zeros(len(part), 10).scatter_add(1, labels[places], vote_weights(distances))
                found.append(votes.argmax(1))
            return torch.cat(found).numpy()
    else:
        model = KNeighborsClassifier(5, weights="distance", algorithm="brute", n_jobs=-1).fit(x, y)

        def predict() -> Array:
            return np.asarray(model.predict(test))

    seconds = []
    for _ in range(3):
        began = time.perf_counter()
        answers = predict()
        seconds.append(time.perf_counter() - began)
    return {"images_per_second": len(test) / min(seconds), "accuracy": float((answers == truth).mean())}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("model", choices=["svm", "knn", "forest", "tree"])
    parser.add_argument("--rate", action="store_true")
    parser.add_argument("--engine", default="sklearn", choices=["sklearn", "visto"])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    x, y = read("train-images").reshape(60_000, -1).astype(np.float32) / 255, read("train-labels").astype(np.int64)
    test, truth = read("t10k-images").reshape(10_000, -1).astype(np.float32) / 255, read("t10k-labels")
    if options.rate:
        print(json.dumps(rate(options.engine, x, y, test, truth)))
        return
    began = time.perf_counter()
    model = estimator(options.model, options.seed, options.threads).fit(x, y)
    fitted = time.perf_counter()
    accuracy = float((model.predict(test) == truth).mean())
    ended = time.perf_counter()
    print(json.dumps({"accuracy": accuracy, "fit_seconds": fitted - began, "predict_seconds": ended - fitted}))


if __name__ == "__main__":
    main()
