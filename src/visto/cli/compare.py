"""``visto compare``"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from visto.cli.evaluate import say_unreadable
from visto.cli.figures import less_is_better, names_of
from visto.cli.options import AsJson, Data, Debug, Format, Quiet, Threads, TrustedKeys
from visto.cli.terminal import Terminal, counted, printable, show, show_json, table

if TYPE_CHECKING:
    from visto.evaluation import Comparison


def command(
    a: Annotated[Path, typer.Argument(metavar="A", help="A model folder.")],
    b: Annotated[Path, typer.Argument(metavar="B", help="Another one, for the same task and classes.")],
    data: Data,
    split: Annotated[
        str | None, typer.Option(help="Judge on train, validation or test, even on images that a model has seen.")
    ] = None,
    format: Format = None,
    trusted_key: TrustedKeys = None,
    threads: Threads = 0,
    as_json: AsJson = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Say whether model B is really better than model A.

    Both are judged on the same images, which neither has seen (the test split, else the validation split, else all of
    DATA). Where none is left it ends with exit code 3. Every difference is B minus A, with its 95 % interval.
    """
    from visto import api
    from visto.cli.reading import read_again_aloud
    from visto.errors import UsageError
    from visto.types import SPLITS

    if split is not None and split not in SPLITS:
        raise UsageError(f"no split {split!r}", expected=f"one of {', '.join(SPLITS)}")
    voice = Terminal(quiet=quiet)
    first, second = (api.load(path, trusted=trusted_key or None) for path in (a, b))
    dataset = read_again_aloud(data, format, first.source.manifest.data, voice, splits=split is not None)
    found = api.compare(first, second, dataset, split, threads=threads, voice=voice)
    if first.source.digest == second.source.digest:
        voice.say("careful: A and B are the same model")
    if found.left_out:
        voice.say(f"{counted(found.left_out, found.noun)} left out: A or B was made from them")
    for name, seen in zip("AB", found.seen, strict=True):
        if seen:
            voice.say(f"careful: {name} was made from {seen:,} of these {counted(found.n, found.noun)}")
    say_unreadable(found.ledger, voice, found.noun)
    if as_json:
        show_json(found.to_json())
        return
    show(f"A is {printable(str(a))}, B is {printable(str(b))}")
    _show(found)


def _show(found: "Comparison") -> None:
    of = "" if found.split == "all" else f" of {found.split}"
    grouped = f" in {counted(found.groups, 'group')}" if found.groups else ""
    show(f"{found.task} on {counted(found.n, found.noun)}{of}{grouped}, with the 95 % interval of the difference:")
    show(table(_rows(found), indent="  "))
    if found.mcnemar is not None:
        show(f"only A is right on {found.mcnemar.only_first:,}, only B on {found.mcnemar.only_second:,}")
    show(found.verdict)


def _rows(found: "Comparison") -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [("", "A", "B", "B minus A")]
    for name in names_of(found.difference):
        words = f"{name} (less is better)" if less_is_better(name) else name
        rows.append((words, f"{found.a[name].value:.4f}", f"{found.b[name].value:.4f}", str(found.difference[name])))
    return rows
