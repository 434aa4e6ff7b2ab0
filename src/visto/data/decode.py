"""The one decoder: bytes of an image file to uint8 pixels, upright, with what was repaired on the way.

Formats are known by their first bytes, never by the name. The size is read from the header and refused before any
memory is taken for pixels. Thread-safe; never warns.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from visto.data import exif, jpeg
from visto.data.raster import check_size, decode_raster, raster_frames
from visto.errors import DataError
from visto.types import Size

PIXEL_LIMIT = 100_000_000
ALLOWED = ("JPEG", "PNG", "WebP", "BMP", "TIFF", "GIF", "PNM")

_PNM_LETTERS = (b"1", b"2", b"3", b"4", b"5", b"6", b"f")  # bitmap, grey, colour; text or binary; floats
_MAGIC: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\xff\xd8\xff", "JPEG"),
    (0, b"\x89PNG\r\n\x1a\n", "PNG"),
    (8, b"WEBP", "WebP"),
    (0, b"GIF87a", "GIF"),
    (0, b"GIF89a", "GIF"),
    (0, b"II*\0", "TIFF"),
    (0, b"MM\0*", "TIFF"),
    (0, b"II+\0", "TIFF"),
    (0, b"MM\0+", "TIFF"),
    (0, b"BM", "BMP"),
    *((0, b"P" + letter + space, "PNM") for letter in _PNM_LETTERS for space in (b"\n", b" ", b"\r", b"\t")),
    # known, to be refused by their name
    (4, b"ftypavif", "AVIF"),
    (4, b"ftyphei", "HEIC"),
    (4, b"ftypmif1", "HEIC"),
    (0, b"\0\0\0\x0cjP  ", "JPEG 2000"),
    (0, b"\xff\x4f\xff\x51", "JPEG 2000"),
    (0, b"\xff\x0a", "JPEG XL"),
    (0, b"\0\0\0\x0cJXL ", "JPEG XL"),
    (0, b"8BPS", "Photoshop"),
    (0, b"%PDF", "PDF"),
    (0, b"<svg", "SVG"),
    (0, b"\0\0\x01\0", "ICO"),
    (128, b"DICM", "DICOM"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoded:
    """``pixels`` uint8 C×H×W (C is 1 for grey, 3 for colour; may be a view of H×W×C).

    ``original`` is the size of the upright image before any scaling; ``notes`` say what was repaired.
    """

    pixels: Tensor
    original: Size
    notes: tuple[str, ...]

    @property
    def batch(self) -> Tensor:
        """``pixels`` as a batch of one, with the strides of channels_last, which ``pixels[None]`` has only in part.

        By them torch chooses its way to resize: the fast one, and one and the same in training and prediction.
        """
        (channels, height, width), (channel, row, column) = self.pixels.shape, self.pixels.stride()
        return self.pixels.as_strided((1, channels, height, width), (height * row, channel, row, column))


def decode(content: bytes, *, at_least: Size | None = None, limit: int = PIXEL_LIMIT) -> Decoded:
    """Decode the content of an image file of at most ``limit`` pixels.

    With ``at_least`` a JPEG is decoded at the smallest k/8 of its size that is not below it in either direction.
    Raises DataError for what is empty, not an image, of another format, truncated, damaged or too large.
    """
    kind = _kind(content)
    if kind == "JPEG":
        try:
            return _decode_jpeg(content, at_least, limit)
        except jpeg.UnsupportedJpegError:
            pass  # rare colour subsampling: Pillow decodes it, at full size
    array, orientation, notes = decode_raster(content, kind, limit)
    if kind == "JPEG":
        notes.append("rare JPEG decoded without a check for damage inside")  # Pillow passes over libjpeg's warnings
    pixels = exif.upright(torch.from_numpy(array).permute(2, 0, 1), orientation)
    original = Size(height=pixels.shape[1], width=pixels.shape[2])
    return Decoded(pixels=pixels, original=original, notes=tuple(notes))


def decode_frames(content: bytes, *, limit: int = PIXEL_LIMIT) -> Iterator[Decoded]:
    """The frames of a moving GIF, WebP or PNG, in order. Raises DataError; for damage later on, when it is met."""
    for array in raster_frames(content, _kind(content), limit):
        pixels = torch.from_numpy(array).permute(2, 0, 1)
        yield Decoded(pixels=pixels, original=Size(height=pixels.shape[1], width=pixels.shape[2]), notes=())


def _decode_jpeg(content: bytes, at_least: Size | None, limit: int) -> Decoded:
    header = jpeg.read_header(content)
    check_size(header.size, limit)
    orientation = exif.jpeg_orientation(content)
    original = header.size
    if exif.swaps_axes(orientation):
        original = _swapped(original)
        at_least = _swapped(at_least) if at_least else None
    array, notes = jpeg.decode_jpeg(content, header, at_least)
    pixels = exif.upright(torch.from_numpy(array.transpose(2, 0, 1)), orientation)
    return Decoded(pixels=pixels, original=original, notes=tuple(notes))


def _swapped(size: Size) -> Size:
    return Size(height=size.width, width=size.height)


def _kind(content: bytes) -> str:
    """The format by its first bytes. Raises DataError for an empty file and for what is not in ``ALLOWED``."""
    expected = "an image: " + ", ".join(ALLOWED)
    if not content:
        raise DataError("an empty file", expected=expected)
    for at, magic, kind in _MAGIC:
        if content.startswith(magic, at):
            if kind not in ALLOWED:
                raise DataError(
                    f"{kind} is not among the formats that are read",
                    expected=expected,
                    hint="convert it to PNG or JPEG first",
                )
            return kind
    raise DataError("not an image by its content", expected=expected)
