"""``visto report``"""

from pathlib import Path
from typing import Annotated

import typer

from visto.cli.options import AsJson, BundlePath, Debug, Format, Quiet, Threads, TrustedKeys
from visto.cli.terminal import Terminal, counted, printable, show, show_json


def command(
    bundle: BundlePath,
    data: Annotated[
        str | None, typer.Argument(metavar="[DATA]", help="What to judge it on; default: what it was trained from.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FILE", help="The page to write: default X.report.html.")
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="Judge on train, validation or test, even on images that the model has seen.")
    ] = None,
    samples: Annotated[bool, typer.Option("--samples/--no-samples", help="Show pictures of single mistakes.")] = True,
    format: Format = None,
    trusted_key: TrustedKeys = None,
    threads: Threads = 0,
    as_json: AsJson = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Write one HTML page on what a model can do and where it errs.

    Judges as visto evaluate does. The page holds all it shows, pictures of the surest mistakes too, and loads nothing
    from anywhere. History and ledger are taken from X.run, where it lies beside the bundle.
    """
    from visto import api
    from visto.cli.reading import read_again_aloud
    from visto.errors import UsageError
    from visto.report import read_run, report_path, trained_from
    from visto.types import SPLITS

    if split is not None and split not in SPLITS:
        raise UsageError(f"no split {split!r}", expected=f"one of {', '.join(SPLITS)}")
    voice = Terminal(quiet=quiet)
    model = api.load(bundle, trusted=trusted_key or None)
    path = report_path(bundle, out)
    if data is None:
        data, format = trained_from(read_run(bundle).source, f"visto report {bundle} DATA", format)
    dataset = read_again_aloud(data, format, model.bundle.manifest.data, voice, splits=split is not None)
    found = api.evaluate(model, dataset, split=split, threads=threads, voice=voice)
    # of data that the model was not made from, the splits say nothing about its making
    own = dataset.name == model.bundle.manifest.data.get("name") and (dataset.declared or found.left_out or found.seen)
    api.write_report(model, found, path, data=dataset if own else None, samples=samples)
    if as_json:
        metrics = {name: figure.to_json() for name, figure in found.figures.items()}
        document = {"report": str(path), "bytes": path.stat().st_size, "task": found.task, "split": found.split}
        show_json({**document, "n": found.n, "metrics": metrics})
        return
    show(printable(f"{path} written, on {counted(found.n, found.noun)} judged"))
