"""What is to be answered: an image, or a frame of a video, with the way to its pixels."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NoReturn

from visto.data.content import read_content
from visto.data.decode import Decoded, decode
from visto.data.ledger import Entry
from visto.data.listing import list_images
from visto.data.video import Frame, video_facts, video_frames
from visto.data.walk import readable
from visto.errors import DataError
from visto.types import Size

_USUAL_FPS = 30.0
_MOST_FPS = 240.0  # more is a slip in the header: the ticks of its clock, not its frames


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """``read`` gives the decoded image: where a size is named perhaps a smaller one that is no smaller than that.

    Pictures of one ``sequence`` follow each other. A frame of a video has its ``number`` from 0 and ``seconds`` since
    the first. ``held`` is how many pixels are in memory before ``read`` is called.
    """

    id: str
    read: Callable[[Size | None], Decoded]
    sequence: str = ""
    number: int | None = None
    seconds: float | None = None
    held: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """``pictures`` come once. ``total`` is how many there are (None: unknown), ``fps`` how many of them a second.

    ``rejected`` are the files that were passed over.
    """

    pictures: Iterator[Picture]
    total: int | None = None
    fps: float = _USUAL_FPS
    rejected: tuple[Entry, ...] = ()


def encoded(id: str, content: Callable[[], bytes], sequence: str = "") -> Picture:
    """The image whose file has the bytes that ``content`` gives."""
    return Picture(id=id, read=lambda at_least: decode(content(), at_least=at_least), sequence=sequence)


def images_at(path: Path, name: str) -> Source:
    """The images below a folder, those of one folder as a sequence in natural order; or the one file, called ``name``.

    Raises DataError where ``path`` does not exist.
    """
    items, rejected = list_images(path)
    found = [
        (item.id if path.is_dir() else readable(name), item.source) for item in items if isinstance(item.source, Path)
    ]
    pictures = (encoded(id, partial(read_content, file), sequence=str(file.parent)) for id, file in found)
    return Source(pictures=pictures, total=len(found), rejected=rejected)


def frames_of(path: Path, name: str) -> Source:
    """The frames of a video file, each called ``name#number``; where it is damaged, the last picture says so if read.

    Raises UsageError where PyAV is not installed, DataError where the file does not exist.
    """
    if not path.exists():
        raise DataError(f"{readable(name)} does not exist", expected="a video file")
    frames = video_frames(path)
    fps, total = None, None
    try:
        facts = video_facts(path)
        fps = facts.fps
        total = facts.frames or round((facts.seconds or 0) * (fps or 0)) or None
    except DataError:
        pass  # reading the frames will say it
    return Source(
        pictures=_pictures(frames, readable(name)),
        total=total,
        fps=min(fps, _MOST_FPS) if fps and fps > 0 else _USUAL_FPS,
    )


def _pictures(frames: Iterator[Frame], name: str) -> Iterator[Picture]:
    try:
        for frame in frames:
            _, height, width = frame.image.shape
            size = Size(height=height, width=width)
            decoded = Decoded(pixels=frame.image, original=size, notes=())
            yield Picture(
                id=f"{name}#{frame.number}",
                read=partial(_given, decoded),
                number=frame.number,
                seconds=frame.seconds,
                held=height * width,
            )
    except DataError as error:
        yield Picture(id=name, read=partial(_broken, error))


def _given(decoded: Decoded, at_least: Size | None) -> Decoded:
    return decoded


def _broken(error: DataError, at_least: Size | None) -> NoReturn:
    raise error
