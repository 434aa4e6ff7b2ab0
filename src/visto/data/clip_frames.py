"""The frames of a clip, decoded one after another: files of their own, or inside a GIF, a WebP or a video."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from visto.data.content import read_content
from visto.data.dataset import Clip
from visto.data.decode import PIXEL_LIMIT, Decoded, decode, decode_frames
from visto.data.video import VIDEO_SUFFIXES, video_frames
from visto.errors import DataError
from visto.types import Size


@dataclass(frozen=True, slots=True, kw_only=True)
class Shot:
    """One frame of a clip: its ``number`` from 0 and ``seconds`` since the first (None: not known).

    ``frame`` is what it shows, or why it cannot be read.
    """

    number: int
    seconds: float | None
    frame: Decoded | DataError


def clip_frames(
    clip: Clip, every: int = 1, *, at_least: Size | None = None, limit: int = PIXEL_LIMIT
) -> Iterator[Decoded]:
    """Each so many-th frame of a clip, from the first on; only one is held at a time.

    Raises UsageError where PyAV is not installed and needed; while reading DataError for what is damaged: the frames
    before that have then been given.
    """
    for shot in shots(clip, every, at_least=at_least, limit=limit):
        if isinstance(shot.frame, DataError):
            raise shot.frame
        yield shot.frame


def shots(clip: Clip, every: int = 1, *, at_least: Size | None = None, limit: int = PIXEL_LIMIT) -> Iterator[Shot]:
    """As ``clip_frames``, with what is damaged in its place; nothing follows it where all frames are in one file."""
    every = max(1, every)
    if clip.moving:
        yield from _moving(clip.files[0], every, limit)
        return
    for number in range(0, len(clip.files), every):
        path = clip.files[number]
        frame: Decoded | DataError
        try:
            frame = one_frame(path, read_content(path), at_least, limit)
        except DataError as error:
            frame = error
        yield Shot(number=number, seconds=None, frame=frame)


def one_frame(path: Path, content: bytes, at_least: Size | None, limit: int) -> Decoded:
    """The frame in the bytes of a file. Raises DataError, which names the file."""
    try:
        return decode(content, at_least=at_least, limit=limit)
    except DataError as error:
        raise DataError(f"{path.name}: {error.message}") from error


def _moving(path: Path, every: int, limit: int) -> Iterator[Shot]:
    number = -1
    try:
        for number, (seconds, frame) in enumerate(_frames(path, limit)):
            if number % every == 0:
                yield Shot(number=number, seconds=seconds, frame=frame)
    except DataError as error:
        yield Shot(number=number + 1, seconds=None, frame=error)


def _frames(path: Path, limit: int) -> Iterator[tuple[float | None, Decoded]]:
    if path.suffix.lower() not in VIDEO_SUFFIXES:
        for decoded in decode_frames(read_content(path), limit=limit):
            yield None, decoded
        return
    for frame in video_frames(path, limit=limit):
        _, height, width = frame.image.shape
        size = Size(height=height, width=width)
        yield frame.seconds, Decoded(pixels=frame.image, original=size, notes=())
