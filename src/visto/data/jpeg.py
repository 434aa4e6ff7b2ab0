"""The fast path for JPEG: libjpeg-turbo through simplejpeg, scaled while decoding where fewer pixels are wanted.

Decoding at k/8 of the size happens inside the inverse DCT. The k is the smallest that leaves at least the wanted
size: a function of the two sizes only, so training and prediction see the same pixels.
"""

import re
from dataclasses import dataclass

import numpy as np
import simplejpeg
from numpy.typing import NDArray

from visto.errors import DataError
from visto.types import Size

# Slips of the writer that leave every pixel whole; cameras and old tools make them. Every other warning of libjpeg
# means that pixels are missing or wrong.
_HARMLESS = re.compile(r"extraneous bytes before|Invalid SOS param|unknown JFIF revision|Unknown Adobe color")
_UNSUPPORTED = re.compile(r"subsampling|[Uu]nsupported|not implemented")


class UnsupportedJpegError(Exception):
    """A JPEG that may be sound, but that simplejpeg cannot decode."""


@dataclass(frozen=True, slots=True)
class Header:
    """What a JPEG says of itself: its size before any EXIF orientation, and its colour space."""

    size: Size
    space: str


def read_header(content: bytes) -> Header:
    """Raises DataError for a damaged header, UnsupportedJpegError where another decoder should try."""
    try:
        height, width, space, _ = simplejpeg.decode_jpeg_header(content, strict=False)
    except KeyError as error:  # it has no name for what it met: odd subsampling, or no frame at all
        raise UnsupportedJpegError(str(error)) from error
    except ValueError as error:
        raise _refusal(str(error)) from error
    return Header(size=Size(height=height, width=width), space=space)


def decode_jpeg(content: bytes, header: Header, at_least: Size | None) -> tuple[NDArray[np.uint8], list[str]]:
    """H×W×C pixels (C is 1 for a grey JPEG) before any EXIF orientation, and what was repaired.

    Raises DataError for damaged or truncated content, UnsupportedJpegError where another decoder should try.
    """
    notes = ["CMYK converted to RGB"] if header.space in ("CMYK", "YCCK") else []
    try:
        return _decode(content, header, at_least, strict=True), notes
    except ValueError as error:
        warning = str(error)
    # libjpeg stops at the first warning: a harmless one must not hide that the end is missing.
    if not _HARMLESS.search(warning) or content.rfind(b"\xff\xd9") < content.rfind(b"\xff\xda"):
        raise _refusal(warning)
    try:
        return _decode(content, header, at_least, strict=False), [*notes, "a slip in the JPEG's structure passed over"]
    except ValueError as error:
        raise _refusal(str(error)) from error


def _decode(content: bytes, header: Header, at_least: Size | None, *, strict: bool) -> NDArray[np.uint8]:
    pixels: NDArray[np.uint8] = simplejpeg.decode_jpeg(
        content,
        colorspace="GRAY" if header.space == "Gray" else "RGB",
        min_height=at_least.height if at_least else 0,
        min_width=at_least.width if at_least else 0,
        min_factor=1,
        strict=strict,
    )
    return pixels


def _refusal(message: str) -> DataError | UnsupportedJpegError:
    if _UNSUPPORTED.search(message):
        return UnsupportedJpegError(message)
    words = message.split("(): ")[-1].rstrip(".")
    kind = "truncated" if "remature end of JPEG" in words else "damaged"
    return DataError(f"{kind} JPEG: {words}", expected="a whole image file", hint="copy or download it again")
