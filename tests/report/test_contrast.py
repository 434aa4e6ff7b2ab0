"""Every colour of words on its ground meets WCAG AA (4.5 to 1), in light and in dark."""

import re
from importlib.resources import files

import pytest

PAIRS = [
    *((ink, ground) for ink in ("ink", "soft", "accent") for ground in ("paper", "panel")),
    *((ink, f"{kind}-paper") for kind in ("grave", "mild", "fine") for ink in ("ink", kind)),
    ("ink", "accent-soft"),
    ("soft", "accent-soft"),
    ("grave", "paper"),
    ("mild", "paper"),
    *(("low-ink", f"{side}{heat}") for side in "rw" for heat in range(1, 6)),
    *(("high-ink", f"{side}{heat}") for side in "rw" for heat in range(6, 11)),
]


def palettes() -> dict[str, dict[str, str]]:
    style = files("visto.report").joinpath("page.css").read_text(encoding="utf-8")
    light, dark = (dict(re.findall(r"--([\w-]+): (#\w{6})", part)) for part in style.split("@media screen and", 2)[:2])
    return {"light": light, "dark": dark}


def luminance(colour: str) -> float:
    parts = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return sum(weight * p for weight, p in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("ink", "ground"), PAIRS)
def test_words_can_be_read(scheme: str, ink: str, ground: str) -> None:
    colours = palettes()[scheme]
    high, low = sorted((luminance(colours[ink]), luminance(colours[ground])), reverse=True)
    assert (high + 0.05) / (low + 0.05) >= 4.5
