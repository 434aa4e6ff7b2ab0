"""A series and what is foretold of it, as a picture."""

import math
from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from visto.ops.picture import encoded_png

_WIDE, _HIGH, _LEFT, _TOP, _PAD = 640, 160, 72, 22, 12
_SEEN, _SAID, _BAND, _GREY = (60, 60, 60), (0, 114, 178), (200, 222, 240), (150, 150, 150)
_MOST = 8  # columns, below each other
_AHEAD = 3  # times the horizon: as much of what was seen is shown, or more


def forecast_plot(
    names: Sequence[str], seen_tf: Tensor, said_hf: Tensor, low_hf: Tensor | None, high_hf: Tensor | None
) -> bytes:
    """For each of the first columns a line of what was seen and one of what is foretold, in its bounds, as PNG."""
    shown = min(len(names), _MOST)
    sheet = Image.new("RGB", (_WIDE, shown * (_HIGH + _TOP + _PAD) + _PAD), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=13)
    seen_tf = seen_tf[-max(48, _AHEAD * len(said_hf)) :]
    for k in range(shown):
        top = _PAD + k * (_HIGH + _TOP + _PAD) + _TOP
        draw.text((_LEFT, top - _TOP), names[k][:80].encode("ascii", "replace").decode(), fill="black", font=font)
        bounds = [None if bound is None else bound[:, k].tolist() for bound in (low_hf, high_hf)]
        _panel(draw, font, top, seen_tf[:, k].tolist(), said_hf[:, k].tolist(), bounds)
    return encoded_png(sheet)


def _panel(
    draw: ImageDraw.ImageDraw,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
    top: int,
    seen: Sequence[float],
    said: Sequence[float],
    bounds: Sequence[Sequence[float] | None],
) -> None:
    values = [v for part in (seen, said, *bounds) if part is not None for v in part if math.isfinite(v)]
    least, most = min(values, default=0.0), max(values, default=1.0)
    span = most - least or 1.0
    steps = max(1, len(seen) + len(said) - 1)

    def at(step: int, value: float) -> tuple[float, float]:
        share = min(1.0, max(0.0, (value - least) / span))
        return _LEFT + (_WIDE - _LEFT - _PAD) * step / steps, top + _HIGH * (1 - share)

    for value in (least, most):
        y = at(0, value)[1]
        draw.line(((_LEFT, y), (_WIDE - _PAD, y)), fill=(225, 225, 225))
        draw.text((6, y - 8), f"{value:.4g}", fill=_GREY, font=font)
    low, high = bounds
    if low is not None and high is not None:
        edge = [at(len(seen) + k, v) for k, v in enumerate(low)]
        edge += [at(len(seen) + k, v) for k, v in reversed(list(enumerate(high)))]
        draw.polygon(edge, fill=_BAND) if len(said) > 1 else draw.line(edge, fill=_BAND, width=7)
    past = [at(k, v) for k, v in enumerate(seen)]
    ahead = [*past[-1:], *(at(len(seen) + k, v) for k, v in enumerate(said))]
    if len(past) > 1:
        draw.line(past, fill=_SEEN, width=2)
    if len(ahead) > 1:
        draw.line(ahead, fill=_SAID, width=2)
    for x, y in ahead[1 if past else 0 :]:
        draw.ellipse((x - 3, y - 3, x + 3, y + 3), fill=_SAID)
