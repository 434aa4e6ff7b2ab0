"""A decision tree as an outline: every question a line, what follows from yes and from no below it, ends with a bar."""

from collections.abc import Sequence

from markupsafe import Markup

from visto.report.questions import Line
from visto.report.svg import box, dot, drawing, label, line

WIDTH = 420.0
_ROW, _STEP, _TOP, _LEFT = 25.0, 30.0, 16.0, 8.0
_BRANCH, _BAR = 29.0, 44.0  # room for yes and no; the length of a bar that is full


def tree_plot(lines: Sequence[Line], *, words: str) -> Markup:
    """The root at the top left; a bar is full where all training images at an end are of one class."""
    parts: list[Markup] = []
    for number, each in enumerate(lines):
        x, y = _LEFT + _STEP * each.depth, _TOP + _ROW * number
        if each.above < 0:
            parts.append(dot("fork", (x, y), 3.5))
        if each.above >= 0:
            trunk = x - _STEP + (0 if each.depth == 1 else 7)
            parts.append(line("branch", (trunk, _TOP + _ROW * each.above + 9), (trunk, y)))
            parts.append(line("branch", (trunk, y), (x - 4, y)))
            parts.append(label("tick s", (x + 1, y + 4.5), each.branch))
        start = x + (_BRANCH if each.above >= 0 else 10)
        if each.share is not None:
            parts.append(box("count", (start, y - 5), _BAR, 10))
            parts.append(box("value", (start, y - 5), _BAR * each.share, 10))
            parts.append(label("key s", (start + _BAR + 8, y + 4.5), each.words))
        else:
            parts.append(label("tick s" if each.hidden else "key s", (start, y + 4.5), each.words))
    height = 2 * _TOP + _ROW * (len(lines) - 1)
    return drawing("tree", WIDTH, height, title="The questions of the tree", words=words, parts=parts)
