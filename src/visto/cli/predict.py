"""``visto predict``"""

import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from visto.cli.options import AsJson, BundlePath, Debug, Quiet, Threads
from visto.cli.terminal import Terminal, printable, show, show_json

if TYPE_CHECKING:
    from visto.data.ledger import Entry
    from visto.prediction import Predicted
    from visto.types import Task


def command(
    bundle: BundlePath,
    source: Annotated[str, typer.Argument(metavar="IMAGE|DIR|-", help="An image, a folder of images, or - for stdin.")],
    top: Annotated[
        int | None,
        typer.Option(min=1, help="How many answers an image. Default: 1, or, of several labels, those it gives."),
    ] = None,
    threshold: Annotated[
        float, typer.Option(min=0, max=1, help="Abstain below this score; of several labels, leave out those below.")
    ] = 0.0,
    confidence: Annotated[
        float | None, typer.Option(min=0.5, max=1, help="Abstain unless one class is left at this confidence.")
    ] = None,
    draw: Annotated[Path | None, typer.Option(metavar="DIR", help="Write each picture with its answer there.")] = None,
    threads: Threads = 0,
    as_json: AsJson = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> int:
    """Say what is in an image.

    One line an image, as JSON with --json. A bad image is reported and does not stop the rest; the command then ends
    with exit code 3.
    """
    import torch

    from visto import api
    from visto.errors import DataError
    from visto.prediction import Failed, predict

    voice = Terminal(quiet=quiet)
    if threads:
        torch.set_num_threads(threads)
    recogniser = api.load(bundle).recogniser
    bad = 0
    images, rejected = _images(source)
    for entry in rejected:
        voice.say(f"{entry.id} passed over: {entry.reason}")
    if not images:
        raise DataError(f"no images in {source}", expected="an image, or a folder with images at any depth")
    for found in predict(
        recogniser, images, threshold=threshold, confidence=confidence, threads=torch.get_num_threads()
    ):
        if isinstance(found, Failed):
            bad += 1
            _report(found.id, found.error.message, as_json=as_json)
            continue
        content = dict(recogniser.task.to_json(found.answer))
        words = _cut(content, top)
        if draw is not None:
            _draw(draw / _picture_name(source, found.id), found, recogniser.task)
        if as_json:
            show_json({"id": found.id, **content})
        else:
            doubt = f"  (abstains: {content['reason']})" if content["abstain"] else ""
            show(printable(f"{found.id}  {words}") + doubt)
    return 3 if bad else 0


def _cut(content: dict[str, Any], top: int | None) -> str:
    """Leave ``top`` answers in what is printed as JSON (None: one, or as many as labels), and put them into words."""
    answers = content["answers"]
    if "labels" not in content:
        content["answers"] = answers[: top or 1]
        return _words(answers, top)
    given = len(content["labels"])
    content["answers"] = answers[: top or given]
    return _words_of_several(answers, given, top)


def _words(answers: Sequence[dict[str, Any]], top: int | None) -> str:
    return "  ".join(f"{a['label']} {a['score']:.3f}" for a in answers[: top or 1])


def _words_of_several(answers: Sequence[dict[str, Any]], given: int, top: int | None) -> str:
    """The labels it gives; with ``top`` the best so many, in brackets those that it does not give.

    >>> both = [{"label": "cat", "score": 0.98}, {"label": "dog", "score": 0.12}]
    >>> _words_of_several(both, 2, None), _words_of_several(both, 1, 2), _words_of_several(both[1:], 0, None)
    ('cat 0.980  dog 0.120', 'cat 0.980  (dog 0.120)', 'none (best: dog 0.120)')
    """
    if not given:
        return f"none (best: {_words(answers, top)})"
    named = [_words([a], 1) for a in answers[: top or given]]
    return "  ".join([*named[:given], *(f"({words})" for words in named[given:])])


def _report(name: str, reason: str, *, as_json: bool) -> None:
    if as_json:
        show_json({"id": name, "error": reason})
    else:
        Terminal().say(f"{name}  error: {reason}")  # --quiet silences all but errors


def _images(source: str) -> tuple[list[tuple[str, Callable[[], bytes]]], Sequence["Entry"]]:
    """(name, function that gives the bytes) of each image, and the ledger of what was passed over."""
    from visto.data.content import read_content
    from visto.data.listing import list_images

    if source == "-":
        return [("-", sys.stdin.buffer.read)], ()
    items, entries = list_images(Path(source))
    single = not Path(source).is_dir()
    named = [(source if single else item.id, item.source) for item in items if isinstance(item.source, Path)]
    return [(name, partial(read_content, path)) for name, path in named], entries


def _picture_name(source: str, name: str) -> str:
    """Folders below the source are kept, so that no picture takes another's place."""
    if source == "-":
        return "stdin.png"
    return f"{name if Path(source).is_dir() else Path(name).name}.png"


def _draw(path: Path, found: "Predicted", task: "Task[Any, Any]") -> None:
    """Write the picture with its answer as PNG: what the model saw, enlarged to be readable."""
    from visto.files import as_resource_error, write_bytes

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise as_resource_error(error, path.parent) from error
    write_bytes(path, task.draw(found.image, found.answer))
