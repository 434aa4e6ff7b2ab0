"""Every format but JPEG, through Pillow: opened by its own magic number, size checked, brought to 8 bits.

Pillow's ``Image.open`` is not used: it tries formats outside our list and raises warnings of its own about size. The
plugins are called directly.
"""

import contextlib
import threading
import warnings
from collections.abc import Callable, Iterator
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import (
    BmpImagePlugin,
    GifImagePlugin,
    JpegImagePlugin,
    PngImagePlugin,
    PpmImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)
from PIL.ImageFile import ImageFile

from visto.data import exif
from visto.data.eightbit import to_eight_bits
from visto.errors import DataError
from visto.types import Size

_PLUGINS: dict[str, Callable[[BytesIO], ImageFile]] = {
    "JPEG": JpegImagePlugin.JpegImageFile,
    "PNG": PngImagePlugin.PngImageFile,
    "WebP": WebPImagePlugin.WebPImageFile,
    "BMP": BmpImagePlugin.BmpImageFile,
    "TIFF": TiffImagePlugin.TiffImageFile,
    "GIF": GifImagePlugin.GifImageFile,
    "PNM": PpmImagePlugin.PpmImageFile,
}
_QUIET = threading.Lock()


def check_size(size: Size, limit: int) -> None:
    """Raises DataError for more than ``limit`` pixels."""
    if size.height * size.width > limit:
        raise DataError(
            f"too large: {size.width}×{size.height} pixels",
            expected=f"at most {limit:,} pixels",
            hint="make it smaller first",
        )


def decode_raster(content: bytes, kind: str, limit: int) -> tuple[NDArray[np.uint8], int, list[str]]:
    """H×W×C uint8 pixels, the EXIF orientation still to apply, and what was repaired.

    Raises DataError for damaged or truncated content, and for more than ``limit`` pixels before any is decoded.
    """
    if kind == "WebP" and (size := _webp_size(content)):
        check_size(size, limit)  # Pillow makes the canvas while it opens a WebP
    try:
        with _no_warnings() if _may_warn(content, kind) else contextlib.nullcontext():
            image = _PLUGINS[kind](BytesIO(content))
            check_size(Size(height=image.height, width=image.width), limit)
            frames = _frames(image)
            raw = _raw_mode(image)
            image.load()
            pixels, notes = to_eight_bits(image, kind, raw)
    except DataError:
        raise
    except Exception as error:
        # Pillow's parsers answer damage with nearly any exception: OSError, SyntaxError, struct.error, KeyError, …
        raise _refusal(kind, error) from error
    if frames > 1:
        notes.insert(0, f"first of {frames} frames")
    # Pillow turns a TIFF itself while loading, and no other format.
    value = exif.UPRIGHT if kind == "TIFF" else exif.orientation(_exif_block(image))
    return pixels, value, notes


def raster_frames(content: bytes, kind: str, limit: int) -> Iterator[NDArray[np.uint8]]:
    """The frames of a moving GIF, PNG or WebP in order, each H×W×C uint8; of another image the one there is.

    Raises as ``decode_raster``; what is damaged later on, when it is met.
    """
    if kind == "WebP" and (size := _webp_size(content)):
        check_size(size, limit)
    try:
        image = _PLUGINS[kind](BytesIO(content))
        check_size(Size(height=image.height, width=image.width), limit)
        for number in range(_frames(image)):
            with _no_warnings() if _may_warn(content, kind) else contextlib.nullcontext():
                image.seek(number)
                raw = _raw_mode(image)
                image.load()
                pixels, _ = to_eight_bits(image, kind, raw)
            yield pixels
    except DataError:
        raise
    except Exception as error:
        raise _refusal(kind, error) from error


def _may_warn(content: bytes, kind: str) -> bool:
    return kind in ("JPEG", "TIFF", "GIF") or (kind == "PNG" and b"acTL" in content)


@contextlib.contextmanager
def _no_warnings() -> Iterator[None]:
    """Silence Pillow on sloppy tags. Warning filters are the whole process's, so one thread at a time."""
    with _QUIET, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _exif_block(image: ImageFile) -> bytes:
    block = image.info.get("exif", b"")
    return block if isinstance(block, bytes) else b""


def _frames(image: ImageFile) -> int:
    frames = getattr(image, "n_frames", 1)
    return frames if isinstance(frames, int) else 1


def _raw_mode(image: ImageFile) -> str:
    """How the samples lie in the file (``RGB;16B``, ``L;4``), as Pillow's plugin says; known before load only."""
    for tile in image.tile:
        args = tile[3] if isinstance(tile[3], tuple) else (tile[3],)
        if tile[0] in ("ppm", "ppm_plain") and len(args) > 1 and isinstance(args[1], int) and args[1] > 255:
            return f"{args[0]};16"
        return str(args[0])
    return image.mode


def _webp_size(content: bytes) -> Size | None:
    kind = content[12:16]
    if kind == b"VP8X" and len(content) >= 30:
        width, height = (int.from_bytes(content[at : at + 3], "little") + 1 for at in (24, 27))
    elif kind == b"VP8L" and len(content) >= 25:
        bits = int.from_bytes(content[21:25], "little")
        width, height = (bits & 0x3FFF) + 1, ((bits >> 14) & 0x3FFF) + 1
    else:  # a simple lossy WebP has one frame and no canvas: Pillow's own order is safe
        return None
    return Size(height=height, width=width)


def _refusal(kind: str, error: Exception) -> DataError:
    words = str(error).strip() or type(error).__name__
    state = "truncated" if "truncated" in words.lower() or isinstance(error, EOFError) else "damaged"
    return DataError(f"{state} {kind}: {words}", expected="a whole image file", hint="copy or download it again")
