"""The frames of a video file, one by one, upright. PyAV (FFmpeg) reads them; it is an extra and imported when needed.

The file is known by its content, and only as one of the formats below: FFmpeg would also read playlists, which name
other files and addresses. Nothing but the file itself is opened. What is damaged is not guessed: FFmpeg paints over
broken parts with what was there before, so such a frame ends the reading with an error that says how far it came.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from visto.data.decode import PIXEL_LIMIT
from visto.data.raster import check_size
from visto.errors import DataError, UsageError
from visto.types import Size

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

VIDEO_SUFFIXES = frozenset(
    [
        *(".mp4", ".m4v", ".mov", ".3gp", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".ts", ".mts", ".m2ts"),
        *(".flv", ".wmv", ".asf", ".ogv", ".mxf", ".ivf", ".mjpg", ".mjpeg"),
    ]
)
_FORMATS = "mov,matroska,webm,avi,mpegts,mpeg,flv,asf,ogg,ivf,gif,mxf,mjpeg,m4v,h264,hevc"
_TIMED = ("mov", "matroska", "avi", "flv")  # their header says how long they are
_BUFFER = 1 << 20  # bytes asked for at a time
_SHORT, _SHORT_SHARE = 0.5, 0.05  # seconds, and share of the whole, that may be missing at the end


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoFacts:
    """What the file says of itself, each None where it does not: frames a second, how many, how many seconds."""

    fps: float | None
    frames: int | None
    seconds: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One frame: its number from 0, seconds since the first, and uint8 RGB 3×H×W (a view of H×W×3), upright."""

    number: int
    seconds: float
    image: Tensor


def video_facts(path: Path) -> VideoFacts:
    """What the header says, without decoding. Raises as ``video_frames`` does."""
    av = _av()
    try:
        with _opened(av, path) as container:
            stream = _stream(container)
            rate = stream.average_rate or stream.guessed_rate
            seconds = _seconds(container)
            return VideoFacts(fps=float(rate) if rate else None, frames=stream.frames or None, seconds=seconds)
    except av.FFmpegError as error:
        raise _not_a_video(error) from error


def video_frames(path: Path, *, limit: int = PIXEL_LIMIT) -> Iterator[Frame]:
    """The frames in the order they are shown, each at most ``limit`` pixels large; only one is held at a time.

    Turned and mirrored as the file's display matrix says, by quarter turns. Where the pixels are not square they stay
    as they are stored. Raises UsageError where PyAV is not installed; while reading DataError for what is not a video,
    has no pictures, is too large, is damaged or ends too early: the frames before that have then been given.
    """
    return _frames(_av(), path, limit)


def need_extra() -> None:
    """Raises UsageError where PyAV is not installed."""
    _av()


def _av() -> ModuleType:
    try:
        import av
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] != "av":
            raise
        raise UsageError(
            "reading a video needs PyAV, which is not installed", hint="install it: pip install 'visto[video]'"
        ) from error
    return av


def _frames(av: ModuleType, path: Path, limit: int) -> Iterator[Frame]:
    number, first, seconds = -1, None, 0.0
    try:
        with _opened(av, path) as container:
            stream = _stream(container)
            rate = float(stream.average_rate or stream.guessed_rate or 0) or 30.0
            for frame in _decoded(container, stream, limit):
                time = frame.time if frame.time is not None else (number + 1) / rate
                first = time if first is None else first
                seconds = time - first
                image = torch.from_numpy(_upright(frame)).permute(2, 0, 1)
                number += 1
                yield Frame(number=number, seconds=seconds, image=image)
    except av.FFmpegError as error:
        if number < 0:
            raise _not_a_video(error) from error
        raise _damaged(number, seconds) from error
    except _BrokenError as error:
        raise _damaged(number, seconds, error.reason) from error
    if number < 0:
        raise DataError("a video without frames")


class _BrokenError(Exception):
    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def _damaged(number: int, seconds: float, reason: str = "damaged") -> DataError:
    if number < 0:
        return DataError(f"{reason}: no frame of the video is whole")
    return DataError(
        f"{reason} after frame {number} ({seconds:.2f} s)", hint="the frames up to there are whole and were read"
    )


def _not_a_video(error: Exception) -> DataError:
    words = getattr(error, "strerror", None) or str(error)
    return DataError(f"not a video, or damaged: {words}", expected="a video file, such as MP4, MOV, MKV, WebM or AVI")


@contextmanager
def _opened(av: ModuleType, path: Path) -> Iterator["InputContainer"]:
    options = {"format_whitelist": _FORMATS, "protocol_whitelist": "file"}
    with (
        _file(path) as file,
        av.open(file, "r", options=options, metadata_errors="replace", buffer_size=_BUFFER) as container,
    ):
        yield container


@contextmanager
def _file(path: Path) -> Iterator[FileIO]:
    """The file, open to be read; never waits for what is not a file."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError as error:
        raise DataError(f"cannot be read: {os.strerror(error.errno) if error.errno else error}") from error
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise DataError("not a regular file")
    with open(handle, "rb", buffering=0) as file:
        yield file


def _stream(container: "InputContainer") -> "VideoStream":
    """The first stream of moving pictures: not the cover of a song."""
    from av.stream import Disposition

    moving = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    if not moving:
        raise DataError("a file without a video stream", expected="a video with pictures")
    if moving[0].codec_context is None:
        raise DataError("a video in a code that this installation of PyAV cannot read")
    return moving[0]


def _decoded(container: "InputContainer", stream: "VideoStream", limit: int) -> Iterator["VideoFrame"]:
    """The frames of the stream, until one of them or the file breaks off."""
    _check(stream.width, stream.height, limit)
    # the file's header may be wrong about the size: FFmpeg refuses more before it takes memory (it counts edges too)
    stream.codec_context.options = {"max_pixels": str(2 * limit + (1 << 22))}
    reached = 0.0
    for packet in container.demux():
        if packet.pts is not None and packet.time_base is not None:
            reached = max(reached, float((packet.pts + (packet.duration or 0)) * packet.time_base))
        if packet.stream is not stream:
            continue
        for frame in stream.decode(packet):
            if frame.is_corrupt:
                raise _BrokenError("damaged")
            _check(frame.width, frame.height, limit)
            yield frame
    whole = _seconds(container)
    if whole is not None and container.format.name.split(",")[0] in _TIMED:
        missing = whole - (reached - (container.start_time or 0) / 1e6)
        if missing > max(_SHORT, _SHORT_SHARE * whole):
            raise _BrokenError(f"the file ends {missing:.1f} s too early:")


def _seconds(container: "InputContainer") -> float | None:
    return container.duration / 1e6 if container.duration else None


def _check(width: int, height: int, limit: int) -> None:
    if width and height:  # unknown until the first frame in some formats
        check_size(Size(height=height, width=width), limit)


def _upright(frame: "VideoFrame") -> NDArray[np.uint8]:
    """H×W×3, after the display matrix: (x, y) is shown at (a·x + c·y, b·x + d·y), y downwards."""
    pixels: NDArray[Any] = frame.to_ndarray(format="rgb24")
    matrix: Any = frame.side_data.get("DISPLAYMATRIX")
    if matrix is not None:
        a, b, _, c, d = np.frombuffer(bytes(matrix), np.int32)[:5].tolist()
        turned = abs(b) + abs(c) > abs(a) + abs(d)
        across, down = (c, b) if turned else (a, d)
        pixels = pixels.transpose(1, 0, 2) if turned else pixels
        pixels = pixels[:: -1 if down < 0 else 1, :: -1 if across < 0 else 1]
    return np.ascontiguousarray(pixels)
