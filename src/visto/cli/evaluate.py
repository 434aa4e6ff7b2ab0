"""``visto evaluate``"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from visto.cli.figures import class_rows, confusion, rows_of, worst_groups
from visto.cli.options import AsJson, Data, Debug, Format, ModelPath, Quiet, Threads, TrustedKeys
from visto.cli.terminal import Terminal, counted, show, show_json, table

if TYPE_CHECKING:
    from visto.data.ledger import Entry
    from visto.evaluation import Evaluation


def command(
    bundle: ModelPath,
    data: Data,
    split: Annotated[
        str | None, typer.Option(help="Judge on train, validation or test, even on images that the model has seen.")
    ] = None,
    format: Format = None,
    trusted_key: TrustedKeys = None,
    threads: Threads = 0,
    as_json: AsJson = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Judge a model: every figure with its 95 % interval.

    Takes the test split, else the validation split, else all of DATA, and never an image that made the model
    (compared by content). Where none is left it ends with exit code 3.
    """
    from visto import api
    from visto.cli.reading import read_again_aloud
    from visto.errors import UsageError
    from visto.types import SPLITS

    if split is not None and split not in SPLITS:
        raise UsageError(f"no split {split!r}", expected=f"one of {', '.join(SPLITS)}")
    voice = Terminal(quiet=quiet)
    model = api.load(bundle, trusted=trusted_key or None)
    found = api.evaluate(
        model,
        read_again_aloud(data, format, model.source.manifest.data, voice, splits=split is not None),
        split=split,
        threads=threads,
        voice=voice,
    )
    if found.left_out:
        voice.say(f"{counted(found.left_out, found.noun)} left out: the model was made from them")
    if found.seen:
        voice.say(f"careful: the model was made from {found.seen:,} of these {counted(found.n, found.noun)}")
    say_unreadable(found.ledger, voice, found.noun)
    if not found.figures:
        voice.say("careful: there is nothing to find in these images, so no figure is defined")
    if as_json:
        show_json(found.to_json())
        return
    _show(found)


def _show(found: "Evaluation") -> None:
    of = "" if found.split == "all" else f" of {found.split}"
    show(f"{found.task} on {counted(found.n, found.noun)}{of}, with 95 % intervals:")
    show(table(rows_of(found.figures), indent="  "))
    classes = class_rows(found.figures)
    if classes:
        show(table(classes, indent="  "))
    if "box_confusion" in found.details:
        show(f"precision, recall and F1 are of the boxes that score {found.details['threshold']:.3f} or more")
        show(confusion([*found.classes, "(nothing)"], found.details["box_confusion"]))
    if "steps" in found.details:
        from visto.evaluation.gains import against_plain

        show("\n".join(against_plain(found.figures)))
    if "confusion" in found.details:
        show(confusion(found.classes, found.details["confusion"]["counts"]))
    if found.groups:
        show(worst_groups(found.groups, found.noun))


def say_unreadable(ledger: "Sequence[Entry]", voice: Terminal, noun: str = "image") -> None:
    """How many images (or what ``noun`` calls them) were rejected, and the first of them."""
    rejected = [entry for entry in ledger if entry.status == "rejected"]
    if rejected:
        first = f"{rejected[0].id!r} ({rejected[0].reason})"
        voice.say(f"{counted(len(rejected), noun)} could not be read, such as {first}")
