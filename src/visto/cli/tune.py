"""``visto tune``"""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from visto.cli.figures import rows_of
from visto.cli.options import AsJson, Began, Data, Debug, Format, GroupBy, Quiet, Threads, assignments
from visto.cli.terminal import Terminal, counted, printable, show, show_json, table


def command(
    context: typer.Context,
    data: Data,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="BUNDLE", help="The bundle to write: NAME.visto.")],
    budget: Annotated[
        str | None, typer.Option(help="Time for everything, such as 30m: trials, the last two trainings, the report.")
    ] = None,
    search: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES",
            help="What to choose, such as lr,kernel,activation. Default: all that the model has and no other option "
            "fixes, of lr, weight_decay, l1, label_smoothing, dropout, augment, kernel, activation, depth, width, and "
            "of a pretrained model epochs and unfreeze.",
        ),
    ] = None,
    trials: Annotated[int | None, typer.Option(min=1, help="At most so many; without --budget 24.")] = None,
    model: Annotated[
        str | None, typer.Option(help="mlp, cnn, efficientnet_lite0, …: see visto models. Default: by the data.")
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="An argument of the model, e.g. depth=4.")
    ] = None,
    size: Annotated[int | None, typer.Option(min=4, max=4096, help="Side of the model's input in pixels.")] = None,
    epochs: Annotated[float | None, typer.Option(help="Times the last trainings see every image.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Images a step.")] = None,
    lr: Annotated[float | None, typer.Option(help="Highest learning rate, where it shall not be chosen.")] = None,
    augment: Annotated[
        str | None, typer.Option(help="none, or some of flip,crop,…, where it shall not be chosen.")
    ] = None,
    balance: Annotated[
        str | None, typer.Option(help="Classes of unequal size: none, weights, sampling or logits.")
    ] = None,
    prepare: Annotated[
        str | None, typer.Option(metavar="STEPS", help="Preparation, such as gray,clahe: see visto prepare --list.")
    ] = None,
    scratch: Annotated[bool, typer.Option("--scratch", help="Without pretrained weights.")] = False,
    download: Annotated[bool, typer.Option("--download", help="Fetch pretrained weights that are not here.")] = False,
    device: Annotated[str | None, typer.Option(help="cpu (default) or cuda.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of all randomness in training and in what is tried.")] = None,
    split_seed: Annotated[int | None, typer.Option(help="Of the split, where the data has none.")] = None,
    group_by: GroupBy = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a tuning that was stopped.")] = False,
    inexact: Annotated[bool, typer.Option("--inexact", help="Resume on another machine or thread count.")] = False,
    samples: Annotated[
        bool, typer.Option("--samples/--no-samples", help="Show pictures of mistakes in the report of NAME.run.")
    ] = True,
    format: Format = None,
    threads: Threads = 0,
    as_json: AsJson = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Choose the settings of a model by trying them, and write the better of two: the winner, or the default.

    Trials are short and are judged on a fifth of the training images, held out for them. The best of them and the
    default are then trained on all training images and judged on the validation images, which no trial has seen. The
    winner is written only if it is surely better there. Needs Optuna: pip install 'visto[tune]'. Ctrl-C keeps the
    trials: go on with --resume.
    """
    from visto import api
    from visto.cli.reading import read_aloud

    began = context.obj.seconds if isinstance(context.obj, Began) else time.perf_counter()
    voice = Terminal(quiet=quiet)
    dataset = read_aloud(data, format, split_seed or 0, group_by, voice)
    tuned = api.tune(
        dataset,
        out,
        search=_names(search),
        budget=budget,
        trials=trials,
        model=model,
        arguments=assignments(settings or []),
        size=size,
        epochs=epochs,
        batch_size=batch_size,
        lr=lr,
        augmentation=_names(augment),
        balance=balance,
        prepare=_names(prepare),
        scratch=scratch,
        download=download,
        device=device,
        seed=seed,
        split_seed=split_seed,
        resume=resume,
        inexact=inexact,
        samples=samples,
        threads=threads,
        voice=voice,
        clock=lambda: time.perf_counter() - began,
    )
    manifest, tuning = tuned.bundle.manifest, tuned.tuning
    took = round(time.perf_counter() - began, 1)
    if as_json:
        metrics = {name: figure.to_json() for name, figure in manifest.metrics.items()}
        show_json({"bundle": str(out), "task": manifest.task, "seconds": took, "metrics": metrics, "tuning": tuning})
        return
    if tuning is not None:
        show(_chosen(tuning))
    held_out = counted(manifest.data["validation"], "validation image")
    show(f"{out} written after {took} s; on {held_out}, with 95 % intervals:")
    show(table(rows_of(manifest.metrics), indent="  "))


def _chosen(tuning: Mapping[str, Any]) -> str:
    """Each choice with what default and winner have, how much hangs on it, and which of the two was kept."""
    rows = [("choice", "default", "winner", "importance")]
    for choice in tuning["choices"]:
        share = choice["importance"]
        importance = "–" if share is None else f"{share:.0%}"
        rows.append((choice["name"], _written(choice["default"]), _written(choice["winner"]), importance))
    of = counted(len(tuning["trials"]), "trial")
    whole = tuning["importance_from"]
    words = [f"{of} on {tuning['held_out']:,} held-out images:", table(rows, indent="  ")]
    if any(choice["importance"] is not None for choice in tuning["choices"]):
        words.append(f"  importance: its share of the differences between the {whole} trials that went to their end")
    else:
        words.append(f"  importance cannot be told from {counted(whole, 'trial')} that went to the end")
    epochs = tuning["epochs"]
    if epochs["last"] < epochs["default"]:
        words.append(f"  the budget had time for {epochs['last']:.3g} of {epochs['default']:.3g} epochs at the end")
    words.append(f"  {printable(tuning['words'])}")
    if tuning["options"]:
        words.append(f"  the winner again: visto train … {printable(tuning['options'])}")
    return "\n".join(words)


def _written(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _names(text: str | None) -> list[str] | None:
    if text is None:
        return None
    return [] if text == "none" else [name.strip() for name in text.split(",") if name.strip()]
