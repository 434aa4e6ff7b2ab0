"""The frames of a clip, decoded one after another: files of their own, or inside a GIF, a WebP or a video."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from visto.data.content import read_content
from visto.data.dataset import Clip
from visto.data.decode import PIXEL_LIMIT, Decoded, decode, decode_frames
from visto.data.video import VIDEO_SUFFIXES, video_frames
from visto.errors import DataError
from visto.types import Size


def clip_frames(
    clip: Clip, every: int = 1, *, at_least: Size | None = None, limit: int = PIXEL_LIMIT
) -> Iterator[Decoded]:
    """Each so many-th frame of a clip, from the first on; only one is held at a time.

    Raises UsageError where PyAV is not installed and needed; while reading DataError for what is damaged: the frames
    before that have then been given.
    """
    if clip.moving:
        yield from islice(_moving(clip.files[0], limit), 0, None, max(1, every))
        return
    for path in clip.files[:: max(1, every)]:
        yield one_frame(path, read_content(path), at_least, limit)


def one_frame(path: Path, content: bytes, at_least: Size | None, limit: int) -> Decoded:
    """The frame in the bytes of a file. Raises DataError, which names the file."""
    try:
        return decode(content, at_least=at_least, limit=limit)
    except DataError as error:
        raise DataError(f"{path.name}: {error.message}") from error


def _moving(path: Path, limit: int) -> Iterator[Decoded]:
    if path.suffix.lower() not in VIDEO_SUFFIXES:
        yield from decode_frames(read_content(path), limit=limit)
        return
    for frame in video_frames(path, limit=limit):
        _, height, width = frame.image.shape
        yield Decoded(pixels=frame.image, original=Size(height=height, width=width), notes=())
