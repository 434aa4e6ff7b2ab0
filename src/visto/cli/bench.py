"""``visto bench``"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from visto.cli.options import AsJson, BundlePath, Debug, Format, Quiet, Threads, TrustedKeys
from visto.cli.terminal import Terminal, counted, show, show_json, table

if TYPE_CHECKING:
    from visto.bundle import Bundle
    from visto.data.dataset import Item
    from visto.exporting.backends import Timed


def command(
    bundle: BundlePath,
    data: Annotated[
        str | None,
        typer.Option(metavar="DATA", help="Measure on the held-out images of this. Default: what it was trained from."),
    ] = None,
    format: Format = None,
    trusted_key: TrustedKeys = None,
    threads: Threads = 0,
    as_json: AsJson = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Find out what answers fastest on this machine: torch, onnxruntime or OpenVINO, in which numbers.

    From the bytes of an image file to the answer. Each way is compared with torch in fp32 first, by the bars of visto
    export: int8 and bf16 may change 5 % of the answers, and the deciding figure by a point. The fastest that passes is
    used by visto predict from then on, which says so (visto cache --clear forgets it). Of a model on clips or series:
    how long one step takes.
    """
    import torch

    from visto import api
    from visto.cli.reading import read_again_aloud
    from visto.errors import UsageError
    from visto.exporting import check_exportable

    check_exportable()
    from visto.exporting.backends import backends, fastest, measured
    from visto.exporting.loss import Loss
    from visto.exporting.onnx_file import compared_on
    from visto.prediction import TorchRecogniser
    from visto.report import read_run, trained_from

    voice = Terminal(quiet=quiet)
    if threads:
        torch.set_num_threads(threads)
    loaded = api.load(bundle, trusted=trusted_key or None)
    model = loaded.bundle
    if loaded.recogniser.task.needs == "forecast":
        raise UsageError("visto bench with a model that foretells a series", expected="one that says what it sees")
    if data is None:
        data, format = trained_from(read_run(model.path).source, f"visto bench {bundle} --data DATA", format)
    dataset = read_again_aloud(data, format, model.manifest.data, voice)
    recogniser = TorchRecogniser(model)
    items = compared_on(dataset, recogniser)
    if recogniser.task.sequences:
        _show_steps(model, items, voice, as_json)
        return
    loss = Loss(recogniser, items, voice)
    found = measured(backends(model, dataset, loss, voice), loss, loss.pixels.items, torch.get_num_threads(), voice)
    best = fastest(found)
    kept = _kept(model, best, voice)
    if as_json:
        rows = [one.to_json() for one in found]
        document = {"bundle": str(bundle), "n": len(loss.pixels), "threads": torch.get_num_threads()}
        show_json({**document, "backends": rows, "fastest": best.backend.name})
        return
    many = torch.get_num_threads()
    show(f"from the bytes of a file to the answer, {counted(many, 'thread')}; compared on "
         f"{counted(len(loss.pixels), 'image')}:")  # fmt: skip
    show(table(_rows(found, best, kept), indent="  "))


def _show_steps(bundle: "Bundle", items: Sequence["Item"], voice: Terminal, as_json: bool) -> None:
    """Of a model on sequences: how long one step takes; nothing is kept for predict."""
    import torch

    from visto.exporting.step_times import timed_steps

    found = timed_steps(bundle, items, voice)
    many = torch.get_num_threads()
    if as_json:
        show_json({"bundle": str(bundle.path), "threads": many, "backends": [one.to_json() for one in found]})
        return
    show(f"from a decoded frame, or a step's numbers, to the answer after it, {counted(many, 'thread')}:")
    rows = [(one.name, f"{one.p50:.2f} ms", f"{one.p99:.2f} ms", f"{one.apart:.1g}") for one in found]
    show(table([("", "one step: p50", "p99", "scores differ by"), *rows], indent="  "))


def _kept(bundle: "Bundle", best: "Timed", voice: Terminal) -> bool:
    """Keep the fastest for predict, or say why not: what was measured stands all the same."""
    from visto.errors import ResourceError
    from visto.files import CACHE_HINT
    from visto.prediction.chosen import keep_choice

    if bundle.signed_by is not None:
        voice.say("not kept for visto predict: a trusted key was asked for, and nobody has signed the graph")
        return False
    try:
        keep_choice(bundle, name=best.backend.name, runner=best.backend.runner, graph=best.backend.graph)
    except ResourceError as error:
        voice.say(f"not kept for visto predict: {error.message}; {CACHE_HINT}")
        return False
    return True


def _rows(found: "list[Timed]", best: "Timed", kept: bool) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [("", "one: p50", "p99", "many", "size", "drift", "the same", "")]
    for one in found:
        first = "used by predict" if kept else "the fastest"
        said = first if one is best else "refused" if one.refused else ""
        rows.append(
            (
                one.backend.name,
                f"{one.p50:.1f} ms",
                f"{one.p99:.1f} ms",
                f"{one.per_second:,.0f}/s",
                f"{one.backend.size / 1e6:.1f} MB",
                f"{one.drift:+.2f}",
                f"{one.agreement:.1%}",
                said,
            )
        )
    return rows
