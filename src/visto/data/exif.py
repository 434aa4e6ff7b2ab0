"""The one EXIF field that changes pixels: the orientation. Read here and not by Pillow, which warns on sloppy EXIF."""

import struct

from torch import Tensor

UPRIGHT = 1
_ORIENTATION_TAG = 0x0112
_SHORT = 3
# Orientations 5 to 8 swap the axes first; then these axes of C×H×W are flipped.
_FLIPS: dict[int, tuple[int, ...]] = {2: (2,), 3: (1, 2), 4: (1,), 6: (2,), 7: (1, 2), 8: (1,)}


def orientation(exif: bytes) -> int:
    """The orientation 1 to 8 in an EXIF block (with or without its ``Exif\\0\\0`` head); 1 where it has none."""
    tiff = exif.removeprefix(b"Exif\0\0")
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(tiff[:4])
    if order is None:
        return UPRIGHT
    try:
        (start,) = struct.unpack_from(order + "I", tiff, 4)
        (count,) = struct.unpack_from(order + "H", tiff, start)
        for i in range(count):
            tag, kind, _, value = struct.unpack_from(order + "HHIH", tiff, start + 2 + 12 * i)
            if tag == _ORIENTATION_TAG:
                return value if kind == _SHORT and 1 <= value <= 8 else UPRIGHT
    except struct.error:  # the block is shorter than it says: what is not there turns nothing
        return UPRIGHT
    return UPRIGHT


def jpeg_orientation(content: bytes) -> int:
    """The orientation in a JPEG's first EXIF segment; 1 where there is none."""
    at = 2
    while at + 4 <= len(content) and content[at] == 0xFF:
        marker = content[at + 1]
        if marker == 0xFF:  # fill byte
            at += 1
            continue
        if marker in (0xD9, 0xDA):  # the pixels begin
            break
        length = int.from_bytes(content[at + 2 : at + 4], "big")
        if marker == 0xE1 and content.startswith(b"Exif\0\0", at + 4):
            return orientation(content[at + 4 : at + 2 + length])
        at += 2 + length
    return UPRIGHT


def swaps_axes(value: int) -> bool:
    """Whether this orientation makes a wide image tall."""
    return value >= 5


def upright(pixels: Tensor, value: int) -> Tensor:
    """Turn C×H×W pixels as their EXIF orientation says."""
    if swaps_axes(value):
        pixels = pixels.transpose(1, 2)
    return pixels.flip(_FLIPS[value]) if value in _FLIPS else pixels
