"""What training refuses, and what it finds in the data on the way."""

import numpy as np
import pytest

from visto.data import read
from visto.data.dataset import Dataset, Item, PixelRow
from visto.errors import DataError
from visto.preprocess import Fit
from visto.training.prepare import Prepared, cautions, mean_and_deviation, prepare
from visto.types import Label, Silent, Size, Split


def dataset(*rows: tuple[int, Split, int], classes: tuple[str, ...] = ("a", "b")) -> Dataset:
    """Items of (content, split, class): equal contents are equal images."""
    array = np.stack([np.full((4, 4, 1), content, dtype=np.uint8) for content, _, _ in rows])
    items = tuple(
        Item(id=f"{k}", source=PixelRow(array, k), target=Label(index=label), split=split)
        for k, (_, split, label) in enumerate(rows)
    )
    return Dataset(name="made", format="npz", task="classification", classes=classes, items=items)


def prepared(data: Dataset) -> Prepared:
    return prepare(data, Fit(size=Size(height=4, width=4), channels=1), threads=1, voice=Silent())


def test_a_validation_image_that_is_trained_on_is_left_out() -> None:
    found = prepared(
        dataset((1, "train", 0), (2, "train", 1), (1, "validation", 0), (3, "validation", 1), (2, "test", 1))
    )
    assert [item.id for item in found.validation.items] == ["3"]
    words = {entry.id: (entry.status, entry.reason) for entry in found.ledger}
    assert words["2"][0] == "rejected"
    assert "same content as an image of train" in words["2"][1]
    assert words["4"] == ("kept", "same content as an image of train")
    assert words["0"] == ("kept", "")


def test_one_content_with_two_labels_is_said() -> None:
    found = prepared(dataset((1, "train", 0), (1, "train", 1), (2, "train", 1), (3, "validation", 0)))
    (reason,) = [entry.reason for entry in found.ledger if entry.reason]
    assert reason == "same content as another, with another label (b, not a)"


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([(1, "train", 0), (2, "validation", 0)], "only one class"),
        ([(1, "train", 0), (2, "train", 1), (3, "test", 2)], "images in test but none to train on"),
        ([(1, "train", 0), (2, "train", 1)], "too few to hold some out"),
        ([(1, "validation", 0), (2, "validation", 1)], "no image to train on"),
    ],
)
def test_what_cannot_be_learnt_is_refused(rows: list[tuple[int, Split, int]], words: str) -> None:
    with pytest.raises(DataError, match=words):
        prepared(dataset(*rows, classes=("a", "b", "c") if len(rows) == 3 else ("a", "b")))


def test_the_fingerprint_is_of_content_labels_and_splits() -> None:
    rows: list[tuple[int, Split, int]] = [(1, "train", 0), (2, "train", 1), (3, "validation", 0)]
    first = prepared(dataset(*rows)).fingerprint
    assert prepared(dataset(*rows[::-1])).fingerprint == first
    assert prepared(dataset((9, "train", 0), *rows[1:])).fingerprint != first
    assert prepared(dataset(*rows[:2], (3, "validation", 1))).fingerprint != first
    assert prepared(dataset(*rows, (4, "test", 0))).fingerprint != first


def test_mean_and_deviation_are_those_of_the_pixels() -> None:
    digits = read("digits")
    found = prepare(digits, Fit(size=Size(height=8, width=8), channels=1), threads=1, voice=Silent())
    mean, deviation = mean_and_deviation(found.train)
    pixels = found.train.storage[found.train.rows].double() / 255
    assert mean == pytest.approx([float(pixels.mean())])
    assert deviation == pytest.approx([float(pixels.std(correction=0))])


def test_unequal_and_tiny_classes_are_said() -> None:
    assert cautions(["a", "b"], [50, 40]) == []
    assert cautions(["a", "b"], [30, 1])[0] == "class 'b' has only 1 image to train on"
    assert "--balance" in cautions(["a", "b"], [300, 30])[-1]
    assert len(cautions([str(k) for k in range(9)], [1] * 9)) == 6
