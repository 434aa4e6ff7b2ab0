"""What a reader of boxes hands on: a sheet for each image, with a mark for each annotation, before any check."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from visto.types import Split

Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """One annotation: the name of its class and its edges, or the ``fault`` for which it cannot be used.

    ``mend`` is what was put right to read it.
    """

    name: str
    xyxy: Box | None = None
    fault: str = ""
    mend: str = ""
    ignored: bool = False
    crowd: bool = False
    area: float | None = None


@dataclass(slots=True, kw_only=True)
class Sheet:
    """What the files say of one image; no marks: there is nothing in it. ``stated`` is its width and height.

    With a ``fault`` it cannot be used; ``mend`` is what was put right.
    """

    id: str
    path: Path
    marks: list[Mark]
    split: Split | None = None
    group: str | None = None
    stated: tuple[float, float] | None = None
    fault: str = ""
    mend: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Convention:
    """How a format writes boxes: in pixels or in fractions of the image; ``origin`` is the first pixel's number."""

    unit: Literal["pixels", "fractions"] = "pixels"
    origin: int = 0


def as_written(box: Box, convention: Convention) -> Box:
    """The corners with the numbers that stand in the file."""
    x0, y0, x1, y1 = box
    return x0 + convention.origin, y0 + convention.origin, x1, y1
