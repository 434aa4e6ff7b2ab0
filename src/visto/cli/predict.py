"""``visto predict``"""

import json
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from visto.cli.options import AsJson, BundlePath, Debug, Quiet, Threads
from visto.cli.terminal import Terminal, show

if TYPE_CHECKING:
    from visto.data.ledger import Entry
    from visto.predict import Predicted
    from visto.types import Task


def command(
    bundle: BundlePath,
    source: Annotated[str, typer.Argument(metavar="IMAGE|DIR|-", help="An image, a folder of images, or - for stdin.")],
    top: Annotated[int, typer.Option(min=1, help="How many answers an image.")] = 1,
    threshold: Annotated[float, typer.Option(min=0, max=1, help="Abstain below this score.")] = 0.0,
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
    from visto.predict import Failed, predict

    voice = Terminal(quiet=quiet)
    if threads:
        torch.set_num_threads(threads)
    recogniser = api.load(bundle).recogniser
    bad = 0
    images, rejected = _images(source)
    for entry in rejected:
        voice.say(f"{entry.id} passed over: {entry.reason}")
    for found in predict(recogniser, images, threshold=threshold, confidence=confidence, threads=threads or 2):
        if isinstance(found, Failed):
            bad += 1
            _report(found.id, found.error.message, as_json=as_json, voice=voice)
            continue
        content = dict(recogniser.task.to_json(found.answer))
        answers = content["answers"]
        assert isinstance(answers, list)  # noqa: S101
        content["answers"] = answers[:top]
        if draw is not None:
            _draw(draw, found, recogniser.task)
        if as_json:
            show(json.dumps({"id": found.id, **content}, ensure_ascii=False))
        else:
            words = "  ".join(f"{a['label']} {a['score']:.3f}" for a in answers[:top])
            show(f"{found.id}  {words}" + (f"  (abstains: {content['reason']})" if content["abstain"] else ""))
    return 3 if bad else 0


def _report(name: str, reason: str, *, as_json: bool, voice: Terminal) -> None:
    if as_json:
        show(json.dumps({"id": name, "error": reason}, ensure_ascii=False))
    else:
        voice.say(f"{name}  error: {reason}")


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


def _draw(folder: Path, found: "Predicted", task: "Task[Any, Any]") -> None:
    """Write the picture with its answer as PNG: what the model saw, enlarged to be readable."""
    from visto.files import write_bytes

    name = found.id.replace("/", "_") if found.id != "-" else "stdin"
    folder.mkdir(parents=True, exist_ok=True)
    write_bytes(folder / f"{name}.png", task.draw(found.image, found.answer))
