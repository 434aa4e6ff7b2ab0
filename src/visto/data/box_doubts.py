"""Doubts that no single box raises, but all together: another unit, another size, corners taken for something else."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

from visto.data import exif
from visto.data.box_sheet import Box, Convention, Sheet, as_written
from visto.data.header import Header
from visto.errors import DataError

SHAPE_TOLERANCE = 0.02
_PERCENT_SIDE = 300  # in images so large, boxes all in the same corner of 100×100 are no chance:
_PERCENT_BOXES = 20  # so many, but for one in a hundred, some of them near its far edges;
_PERCENT_FEW, _PERCENT_IMAGES = 5, 3  # or so many, in so many images, all, some of them at its far edges
_WRONG_SHARE = 0.25  # of the images of another size than stated: more of them, and the statement is nowhere believed
_CUT_BOXES = 20
_CUT_SHARE = 0.2


def doubt_sizes(sheets: Sequence[Sheet], headers: Sequence[Header | DataError]) -> None:
    """Drop the stated size of images whose boxes reach far past it, but fit the image as it is.

    Where that is so for many of the images of another size than stated, it is dropped for all whose boxes fit.
    """
    doubtful = [
        (sheet, header)
        for sheet, header in zip(sheets, headers, strict=True)
        if isinstance(header, Header) and is_rescaled(sheet, header)
    ]
    wrong = [sheet for sheet, header in doubtful if _reaches_past_stated(sheet, header)]
    if len(wrong) >= _WRONG_SHARE * len(doubtful):
        wrong = [sheet for sheet, header in doubtful if wrong and _fits(sheet, header)]
    for sheet in wrong:
        sheet.stated = None
        said = "stated size is wrong: boxes fit the image as it is"
        sheet.mend = "; ".join(filter(None, (sheet.mend, said)))


def is_rescaled(sheet: Sheet, header: Header) -> bool:
    """Whether an image has the shape stated, but another size; not where it was only turned."""
    if sheet.stated is None:
        return False
    (wide, high), (width, height) = sheet.stated, _sides(header)
    turned = exif.swaps_axes(header.orientation) and sheet.stated == (header.raw.width, header.raw.height)
    same_shape = abs(wide * height / (high * width) - 1) <= SHAPE_TOLERANCE
    return sheet.stated != (width, height) and not turned and same_shape


def _reaches_past_stated(sheet: Sheet, header: Header) -> bool:
    """By more than a slip: by a tenth of what the image has more than is stated."""
    if sheet.stated is None or not _fits(sheet, header):
        return False
    (wide, high), (width, height) = sheet.stated, _sides(header)
    far_x, far_y = max(x1 for _, (_, _, x1, _) in _boxes(sheet)), max(y1 for _, (_, _, _, y1) in _boxes(sheet))
    return any(
        far > stated * max(1 + SHAPE_TOLERANCE, 1 + (real / stated - 1) / 10)
        for far, stated, real in ((far_x, wide, width), (far_y, high, height))
    )


def _fits(sheet: Sheet, header: Header) -> bool:
    width, height = _sides(header)
    boxes = [box for _, box in _boxes(sheet)]
    return bool(boxes) and all(x1 <= width + 1 and y1 <= height + 1 for _, _, x1, y1 in boxes)


def _boxes(sheet: Sheet) -> Iterator[tuple[int, Box]]:
    """The boxes of finite numbers, with their places from 1."""
    for k, mark in enumerate(sheet.marks, start=1):
        if mark.xyxy is not None and all(map(math.isfinite, mark.xyxy)):
            yield k, mark.xyxy


def check_unit(
    path: Path, sheets: Sequence[Sheet], headers: Sequence[Header | DataError], convention: Convention
) -> None:
    """Raises DataError where the boxes as a whole are fractions or percent of the image, not pixels."""
    boxes = large = images = 0
    small: list[str] = []  # the ids of boxes within 0–1
    within: list[Box] = []  # those about 0–100
    for sheet, header in zip(sheets, headers, strict=True):
        if sheet.stated is None and not isinstance(header, Header):
            continue
        width, height = sheet.stated or _sides(header)
        is_large, before = min(width, height) >= _PERCENT_SIDE, boxes
        for k, box in _boxes(sheet):
            x0, y0, x1, y1 = as_written(box, convention)
            boxes += 1
            if min(x0, y0) >= 0 and max(x1, y1) <= 1:
                small.append(f"{sheet.id}#{k} ({x0:g}, {y0:g}, {x1:g}, {y1:g})")
            if min(x0, y0) >= -1 and max(x1, y1) <= 101:
                within.append((x0, y0, x1, y1))
        large += is_large * (boxes - before)
        images += is_large and boxes > before
    if 2 * len(small) > boxes:
        raise DataError(
            f"{len(small)} of the {boxes} boxes in {path} lie within 0–1; the first: {small[0]}",
            expected="boxes in pixels",
            hint="these look like fractions of the image: multiply by its width and height",
        )
    if _look_like_percent(within, boxes, large, images):
        share = f"all {boxes}" if len(within) == boxes else f"{len(within)} of the {boxes}"
        raise DataError(
            f"{share} boxes in {path} lie within 0–100, though {large} are in images of {_PERCENT_SIDE} and more",
            expected="boxes in pixels",
            hint="these look like percent of the image: multiply by its width and height, divide by 100",
        )


def _look_like_percent(within: Sequence[Box], boxes: int, large: int, images: int) -> bool:
    far_x, far_y = max((box[2] for box in within), default=0), max((box[3] for box in within), default=0)
    if large >= _PERCENT_BOXES:
        return 100 * len(within) >= 99 * boxes and min(far_x, far_y) > 90
    if large < _PERCENT_FEW or images < _PERCENT_IMAGES or len(within) < boxes:
        return False
    return min(min(box) for box in within) >= 0 and min(far_x, far_y) >= 99 and max(far_x, far_y) <= 100


def _sides(header: Header | DataError) -> tuple[float, float]:
    if isinstance(header, DataError):
        raise header
    return header.size.width, header.size.height


def check_clipping(path: Path, cut: Sequence[str], boxes: int) -> None:
    """Raises DataError where many of the boxes, by the ids of those ``cut``, would lose much to clipping."""
    if boxes >= _CUT_BOXES and len(cut) > _CUT_SHARE * boxes:
        raise DataError(
            f"{len(cut)} of the {boxes} boxes in {path} lose more than a tenth of their area where the image ends; "
            f"the first: {cut[0]}",
            expected="boxes inside their images, but for slips",
            hint="look whether corners were taken for width and height, the centre for the left upper corner, "
            "or whether the boxes were made for images of another size",
        )
