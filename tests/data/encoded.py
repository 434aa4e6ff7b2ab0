"""Encoded images for tests of the decoder."""

import io
import struct
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from visto.data.decode import Decoded

Pixels = NDArray[np.uint8]


def encoded(image: Image.Image, format: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(width: int, height: int, bits: int, colour: int, rows: bytes, extra: bytes = b"") -> bytes:
    """A PNG by hand: ``rows`` each with their filter byte; colour 0 grey, 2 RGB, 3 palette, 4 grey+alpha, 6 RGBA."""
    head = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    body = extra + chunk(b"IDAT", zlib.compress(rows))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + body + chunk(b"IEND", b"")


def hwc(decoded: Decoded) -> Pixels:
    pixels: Pixels = decoded.pixels.permute(1, 2, 0).numpy()
    assert pixels.dtype == np.uint8
    return pixels


def colour_image(height: int = 20, width: int = 30) -> Image.Image:
    y, x = np.mgrid[:height, :width]
    return Image.fromarray(np.stack([y * 5 % 256, x * 5 % 256, (x + y) * 3 % 256], axis=2).astype(np.uint8))
