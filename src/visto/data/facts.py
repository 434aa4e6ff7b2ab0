"""What a data set's images are like, from a look at some of them: what the default model and size are chosen by."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from visto.data.content import read_content
from visto.data.dataset import Item, PixelRow
from visto.data.decode import decode
from visto.errors import DataError
from visto.types import Size

_LOOKED_AT = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """``typical`` is the median height and width, ``uniform`` whether all looked at were of that size.

    ``channels`` is 1 where every image looked at was grey (three equal channels are grey too), else 3.
    """

    typical: Size
    uniform: bool
    channels: int


def look_at(items: Sequence[Item]) -> Facts:
    """Decode up to 64 images, evenly spread, and say what they are like. Raises DataError where none can be read."""
    looks = min(_LOOKED_AT, len(items))
    sizes: list[Size] = []
    colour = False
    why: DataError | None = None
    for item in (items[k * len(items) // looks] for k in range(looks)):
        try:
            size, colourful = _size_and_colour(item)
        except DataError as error:
            why = error
            continue
        sizes.append(size)
        colour |= colourful
    if not sizes:
        raise DataError(
            f"none of the {len(items)} images can be read" + (f" ({why.message}, for one)" if why else ""),
            hint="look at the files: are they images, and are you allowed to read them?",
        )
    typical = Size(height=round(median(s.height for s in sizes)), width=round(median(s.width for s in sizes)))
    return Facts(typical=typical, uniform=len(set(sizes)) == 1, channels=3 if colour else 1)


def _size_and_colour(item: Item) -> tuple[Size, bool]:
    if isinstance(item.source, PixelRow):
        height, width, channels = item.source.pixels.shape
        return Size(height=height, width=width), channels == 3
    if not isinstance(item.source, Path):
        raise TypeError(f"{item.id} is no image")
    decoded = decode(read_content(item.source), at_least=Size(height=64, width=64))
    pixels = decoded.pixels.short()
    spread = pixels.amax(0) - pixels.amin(0)
    # a grey photo saved as colour JPEG comes back with channels one or two levels apart
    return decoded.original, int(spread.max()) > 3
