"""Answers come in the order of the pictures, a batch at a time, and memory holds no more than that."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from tests.films import write_film
from tests.prediction.eye import Eye
from tests.scenes import painted

from visto.data.decode import Decoded
from visto.errors import DataError, UsageError
from visto.ops.picture import png
from visto.prediction import Failed, Picture, Predicted, encoded, follow, frames_of, predict
from visto.types import Size


def shown(*xs: int, size: tuple[int, int] = (96, 96)) -> bytes:
    """A picture with a square at each x."""
    return png(torch.from_numpy(painted([("square", x, 10, x + 20, 30) for x in xs], size=size)).permute(2, 0, 1))


def picture(id: str, content: bytes, sequence: str = "") -> Picture:
    return encoded(id, lambda: content, sequence)


def lefts(found: Predicted) -> list[int]:
    return sorted(round(x) for x in found.answer.value.xyxy[:, 0].tolist())


def test_a_bad_picture_keeps_its_place() -> None:
    pictures = [picture(str(k), shown(10 * k) if k != 2 else b"no image") for k in range(5)]
    found = list(predict(Eye(), pictures))
    assert [one.id for one in found] == ["0", "1", "2", "3", "4"]
    assert isinstance(found[2], Failed)
    assert [lefts(one) for one in found if isinstance(one, Predicted)] == [[0], [10], [30], [40]]


def test_only_one_batch_is_taken_at_a_time() -> None:
    taken = []

    def pictures(held: int) -> Iterator[Picture]:
        for k in range(400):
            taken.append(k)
            one = encoded(str(k), lambda: shown(5))
            yield Picture(id=one.id, read=one.read, held=held)

    eye = Eye(96)
    first = next(predict(eye, pictures(0)))
    assert first.id == "0"
    assert taken[-1] + 1 == eye.batches[0] <= 64
    taken.clear()
    next(predict(Eye(96), pictures(1 << 24)))  # frames of 4,096×4,096
    assert len(taken) == 2
    taken.clear()
    next(predict(Eye(512), pictures(0)))
    assert len(taken) == 4


def test_pictures_decoded_already_are_taken_as_they_are() -> None:
    pixels = torch.from_numpy(painted([("disc", 20, 30, 60, 70)], size=(101, 77))).permute(2, 0, 1)
    decoded = Decoded(pixels=pixels, original=Size(height=101, width=77), notes=())
    (given,) = predict(Eye(), [Picture(id="a", read=lambda at_least: decoded)])
    (read,) = predict(Eye(), [encoded("a", lambda: png(pixels))])
    assert isinstance(given, Predicted) and isinstance(read, Predicted)
    assert torch.equal(given.image, read.image)
    assert given.answer.value == read.answer.value


def test_each_sequence_is_followed_by_itself_and_time_goes_on_where_nothing_can_be_read() -> None:
    def pictures() -> Iterator[Picture]:
        for k in range(8):
            yield picture(f"a{k}", shown(4 * k) if k != 4 else b"", "a")
            yield picture(f"b{k}", shown(70 - 4 * k, 40), "b")

    tracks: dict[str, list[list[int]]] = {"a": [], "b": []}
    for found in follow(Eye(), pictures()):
        if isinstance(found, Predicted):
            assert found.tracks is not None
            tracks[found.id[0]].append(sorted(found.tracks.tolist()))
    assert tracks["a"] == [[1]] * 7
    assert tracks["b"][0] == [1, 2]
    assert all(ids in ([1, 2], [1], [2]) for ids in tracks["b"])


def test_what_comes_later_counts_when_it_is_seen_twice() -> None:
    scenes = [shown(5), shown(5, 60), shown(5, 60), shown(5)]
    found = list(follow(Eye(), [picture(str(k), scenes[k]) for k in range(4)]))
    assert [len(one.answer.value) for one in found if isinstance(one, Predicted)] == [1, 1, 2, 1]


def test_a_film_says_what_it_is(tmp_path: Path) -> None:
    path = write_film(tmp_path / "a.mp4", [painted([], size=(32, 48))] * 7, fps=25)
    source = frames_of(path, "a.mp4")
    assert (source.total, source.fps) == (7, 25.0)
    pictures = list(source.pictures)
    assert [picture.id for picture in pictures] == [f"a.mp4#{k}" for k in range(7)]
    assert {picture.held for picture in pictures} == {32 * 48}
    (tmp_path / "b.mp4").write_bytes(b"no video")
    (broken,) = frames_of(tmp_path / "b.mp4", "b.mp4").pictures
    with pytest.raises(DataError, match="not a video"):
        broken.read(None)


def test_a_model_without_boxes_follows_nothing() -> None:
    eye = Eye()
    eye.task.needs = "logits"
    with pytest.raises(UsageError, match="only boxes"):
        next(follow(eye, []))
