"""The table of a ladder on the terminal."""

from typing import Any

from visto.cli.train import _climbed


def test_rungs_in_a_table() -> None:
    value = {"value": 0.9, "low": 0.85, "high": 0.95}
    found: dict[str, Any] = {"figure": "accuracy", "kept": True, "difference": None}
    rungs = [
        {"name": "majority class", "words": "beat this", "seconds": 0.02, "bytes": 40, "value": value, **found},
        {"name": "svm", "words": "left out: no time", "seconds": 0.0, "bytes": 0, "value": None, **found, "figure": ""},
        {"name": "CNN", "words": "better", "seconds": 12.34, "bytes": 3_456_789, "value": value, **found},
    ]
    assert _climbed({"rungs": rungs, "best": "CNN", "words": "CNN is\x1b the best"}).splitlines() == [
        "climbed:",
        "  rung            accuracy                   s     size",
        "  majority class  0.9000 (0.8500 to 0.9500)  0.0   40 B    beat this",
        "  svm                                                      left out: no time",
        "  CNN             0.9000 (0.8500 to 0.9500)  12.3  3.5 MB  better",
        "  CNN is\\x1b the best",
    ]
