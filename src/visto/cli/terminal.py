"""How a command speaks: words and progress on stderr, data on stdout."""

import json
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

from visto.quantities import plural

X = TypeVar("X")


class Terminal:
    """A Voice on stderr: lines, and a bar where stderr is a terminal."""

    def __init__(self, *, quiet: bool = False) -> None:
        self.quiet = quiet

    def say(self, words: str) -> None:
        if not self.quiet:
            print(printable(words), file=sys.stderr, flush=True)  # noqa: T201

    def progress(self, items: Iterable[X], *, total: int, words: str) -> Iterator[X]:
        if self.quiet or not sys.stderr.isatty() or not total:
            yield from items
            return
        # rich costs 60 ms to import: only where there is something to draw
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        # data that is printed in between stays on stdout
        with Progress(*columns, console=Console(stderr=True), transient=True, redirect_stdout=False) as bar:
            task = bar.add_task(words, total=total)
            shown = 0.0
            for done, item in enumerate(items, 1):
                yield item
                if time.perf_counter() - shown > 0.2:
                    bar.update(task, completed=done)
                    shown = time.perf_counter()


def show(text: str) -> None:
    """Print data on stdout."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def show_json(document: object) -> None:
    """Print a JSON document on stdout, in one line."""
    # names stay readable where stdout can hold them all
    show(json.dumps(document, ensure_ascii=(sys.stdout.encoding or "").lower().replace("-", "") != "utf8"))


def printable(text: str) -> str:
    """One line that does nothing to a terminal: names of files and classes may hold newlines and escape codes.

    >>> printable("two\\nlines, \\x1b[31mred, é")
    'two\\\\nlines, \\\\x1b[31mred, é'
    """
    return "".join(c if c.isprintable() or c == " " else ascii(c)[1:-1] for c in text)


def counted(number: int, thing: str) -> str:
    """
    >>> counted(1, "image"), counted(1234, "image"), counted(2, "series")
    ('1 image', '1,234 images', '2 series')
    """
    return f"{number:,} {thing if number == 1 else plural(thing)}"


def table(rows: Sequence[tuple[str, ...]], *, indent: str = "") -> str:
    """Columns padded to equal width, two spaces between them."""
    rows = [tuple(map(printable, row)) for row in rows]
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))] if rows else []
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    return "\n".join(indent + line.rstrip() for line in lines)
