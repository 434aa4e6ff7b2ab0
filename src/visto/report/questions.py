"""What a tree asks, line by line from its root: the first few levels of it, and what is left out below them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from visto.models.described import Described
from visto.models.trees import Trees
from visto.report.words import counted, listed, percent, shown

MOST_LEVELS = 4  # of questions: 31 lines at most, which fit a screen
_NAME = 24
_NAMED = 4
_COLOURS = ("red", "green", "blue")


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A node ``depth`` questions below the root, below line ``above`` (-1: the root), which was answered ``branch``.

    ``share`` is that of the commonest class where the tree ends here, else None; ``hidden`` counts the nodes that a
    question stands for and that are not shown.
    """

    depth: int
    above: int
    branch: str
    words: str
    share: float | None = None
    hidden: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """How the numbers of an image are called: pixels of ``size`` (height, width), or features by kind and number.

    ``mean`` and ``std`` (a value a channel) are what the pixels were normalised by.
    """

    described: Described
    size: Sequence[int]
    mean: Sequence[float]
    std: Sequence[float]

    def question(self, feature: int, threshold: float) -> str:
        """Such as: pixel (3, 5) ≤ 0.31, with pixels in 0–1; or: hog 17 ≤ 0.031."""
        name, place = self.kind(feature)
        if name != "raw":
            return f"{name} {place} ≤ {threshold:.3g}"
        height, width = self.size
        channel, at = divmod(place, height * width)
        colour = f" {_COLOURS[channel]}" if len(self.mean) == 3 else ""
        value = threshold * self.std[channel] + self.mean[channel]
        return f"pixel ({at % width}, {at // width}){colour} ≤ {value:.3g}"

    def kind(self, feature: int) -> tuple[str, int]:
        """The kind of a feature, and its number among those."""
        for name, width in zip(self.described.names, self.described.widths, strict=True):
            if feature < width:
                return name, feature
            feature -= width
        raise IndexError(feature)


def lines_of(tree: Trees, asked: Asked, classes: Sequence[str], levels: int = MOST_LEVELS) -> list[Line]:
    """The lines of the first tree, each below what it hangs on, yes before no."""
    left, right = tree.left.tolist(), tree.right.tolist()
    found: list[Line] = []
    stack = [(int(tree.roots[0]), 0, -1, "")]
    while stack:
        node, depth, above, branch = stack.pop()
        if left[node] == node:
            shares = tree.shares[tree.row[node]]
            best = int(shares.argmax())
            share = float(shares[best])
            words = f"{shown(classes[best], _NAME)} ({percent(share)})"
            found.append(Line(depth=depth, above=above, branch=branch, words=words, share=share))
        elif depth == levels:
            count, ends = _below(tree, node)
            names = [shown(classes[k], _NAME // 2) for k in ends]
            words = f"{counted(count, 'more node')}: {listed(names, _NAMED)}"
            found.append(Line(depth=depth, above=above, branch=branch, words=words, hidden=count))
        else:
            words = asked.question(int(tree.feature[node]), float(tree.threshold[node]))
            stack += [(right[node], depth + 1, len(found), "no"), (left[node], depth + 1, len(found), "yes")]
            found.append(Line(depth=depth, above=above, branch=branch, words=words))
    return found


def _below(tree: Trees, node: int) -> tuple[int, list[int]]:
    """How many nodes a question stands for, itself among them, and the answers at their ends, the commonest first."""
    left, right, row = tree.left, tree.right, tree.row
    best = tree.shares.argmax(1)
    count, ends, stack = 0, Counter[int](), [node]
    while stack:
        at = stack.pop()
        count += 1
        if int(left[at]) == at:
            ends[int(best[row[at]])] += 1
        else:
            stack += [int(left[at]), int(right[at])]
    return count, [k for k, _ in sorted(ends.items(), key=lambda pair: (-pair[1], pair[0]))]


def outline(lines: Sequence[Line]) -> str:
    """The same as text, for those who cannot see the drawing.

    >>> print(outline([Line(depth=0, above=-1, branch="", words="a ≤ 1"),
    ...                Line(depth=1, above=0, branch="yes", words="cat", share=1.0)]))
    a ≤ 1
      yes: cat
    """
    return "\n".join("  " * line.depth + (f"{line.branch}: " if line.branch else "") + line.words for line in lines)
