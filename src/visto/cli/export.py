"""``visto export``"""

from pathlib import Path
from typing import Annotated

import typer

from visto.cli.figures import rows_of
from visto.cli.options import AsJson, BundlePath, Debug, Format, Quiet, Threads, TrustedKeys
from visto.cli.terminal import Terminal, printable, show, show_json, table


def command(
    bundle: BundlePath,
    out: Annotated[Path, typer.Option("--out", "-o", help="The file to write, such as cats.onnx.")],
    to: Annotated[str, typer.Option("--to", help="The form to write.")] = "onnx",
    data: Annotated[
        str | None,
        typer.Option(metavar="DATA", help="Compare on the held-out images of this. Default: what it was trained from."),
    ] = None,
    int8: Annotated[
        bool, typer.Option("--int8", help="In whole numbers where that costs little: smaller, and mostly faster.")
    ] = False,
    max_drift: Annotated[
        float | None,
        typer.Option(
            min=0,
            help="By how many points (errors: per cent) the deciding figure may differ. Default: 0.5, with --int8 1.",
        ),
    ] = None,
    format: Format = None,
    trusted_key: TrustedKeys = None,
    threads: Threads = 0,
    as_json: AsJson = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Write a model as one file that runs without Visto, if it answers as the model does.

    The graph takes an image of any size (uint8 N×H×W×3, RGB) and gives the answer. It is compared with the bundle on
    held-out images: 99.9 % of the answers must be the same (with --int8 95 %). Where they are not, nothing is written
    and the command ends with exit code 6. Beside it lie its manifest and a run.py that answers images with it.
    Of a model on clips or series the graph is one step, with its state as inputs and outputs.
    """
    from visto import api
    from visto.bundle import Exported
    from visto.cli.reading import read_again_aloud
    from visto.exporting import check_asked
    from visto.report import read_run, trained_from

    voice = Terminal(quiet=quiet)
    model = api.load(bundle, trusted=trusted_key or None)
    source = model.bundle
    check_asked(model.bundle, out, to=to, int8=int8, max_drift=max_drift)
    if data is None:
        way = f"visto export {bundle} -o {out} --data DATA"
        data, format = trained_from(read_run(source.path).source, way, format)
    dataset = read_again_aloud(data, format, source.manifest.data, voice)
    made = api.export(
        model, out, data=dataset, to=to, int8=int8, max_drift=max_drift, threads=threads, voice=voice
    ).source
    assert isinstance(made, Exported)  # noqa: S101  (what an export gives)
    own = made.own
    if as_json:
        metrics = {name: figure.to_json() for name, figure in own.metrics.items()}
        document = {"exported": str(out), "digest": made.digest, "precision": own.precision, "opset": own.opset}
        show_json({**document, "bytes": len(made.content), "gate": dict(own.gate), "metrics": metrics})
        return
    show(printable(f"{out} written, {len(made.content) / 1e6:.1f} MB, {own.precision}, ONNX opset {own.opset}"))
    show(table(rows_of(own.metrics), indent="  "))
