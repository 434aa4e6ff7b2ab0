"""``visto train``"""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from visto.cli.figures import rows_of
from visto.cli.options import AsJson, Began, Data, Debug, Format, GroupBy, Quiet, Threads, TrustedKeys, assignments
from visto.cli.terminal import Terminal, counted, printable, show, show_json, table


def command(
    context: typer.Context,
    data: Data,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="BUNDLE", help="The bundle to write: NAME.visto.")],
    model: Annotated[
        str | None, typer.Option(help="cnn, efficientnet_lite0, svm, knn, …: see visto models. Default: by the data.")
    ] = None,
    features: Annotated[
        str | None,
        typer.Option(help="What a classic model sees: some of raw,hog,lbp,colour,edges,co-occurrence,deep."),
    ] = None,
    read_as: Annotated[
        str | None, typer.Option("--as", help="rows: read images row by row, by lstm unless --model says otherwise.")
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="An argument of the model, e.g. depth=4.")
    ] = None,
    start_from: Annotated[Path | None, typer.Option("--from", metavar="BUNDLE", help="Fine-tune this bundle.")] = None,
    size: Annotated[int | None, typer.Option(min=4, max=4096, help="Side of the model's input in pixels.")] = None,
    budget: Annotated[
        str | None, typer.Option(help="Time for everything, such as 90s or 10m; cheaper models are tried first.")
    ] = None,
    epochs: Annotated[float | None, typer.Option(help="Times to see every image.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Images a step.")] = None,
    lr: Annotated[str | None, typer.Option(help="Highest learning rate, or auto: a range test.")] = None,
    optimiser: Annotated[str | None, typer.Option(help="adamw, sgd or muon.")] = None,
    schedule: Annotated[str | None, typer.Option(help="one_cycle, cosine, linear or constant.")] = None,
    weight_decay: Annotated[float | None, typer.Option(help="L2 regularisation.")] = None,
    l1: Annotated[float | None, typer.Option(help="L1 regularisation.")] = None,
    ema: Annotated[float | None, typer.Option(help="Decay of the average of the weights; 0: none.")] = None,
    label_smoothing: Annotated[float | None, typer.Option(help="Share of the label spread over all classes.")] = None,
    mixup: Annotated[float | None, typer.Option(help="Blend pairs of images: alpha of the Beta; 0: off.")] = None,
    augment: Annotated[
        str | None,
        typer.Option(help="none, or some of flip,crop,shift,affine,zoom,colour,erase. Default: by data."),
    ] = None,
    patience: Annotated[
        int | None, typer.Option(help="Stop after so many epochs without a better one; 0: never.")
    ] = None,
    prepare: Annotated[
        str | None, typer.Option(metavar="STEPS", help="Preparation, such as gray,clahe: see visto prepare --list.")
    ] = None,
    balance: Annotated[
        str | None, typer.Option(help="Classes of unequal size: none, weights, sampling or logits.")
    ] = None,
    repeats: Annotated[int | None, typer.Option(help="Augmented copies of each image in a batch.")] = None,
    unfreeze: Annotated[
        int | None, typer.Option(min=0, help="Last stages of a pretrained model that learn; 0: its classifier alone.")
    ] = None,
    views: Annotated[int | None, typer.Option(help="Augmented views that frozen stages see of each image.")] = None,
    lr_decay: Annotated[
        float | None, typer.Option(help="What each stage further down takes of the learning rate above it.")
    ] = None,
    scratch: Annotated[bool, typer.Option("--scratch", help="Without pretrained weights.")] = False,
    download: Annotated[bool, typer.Option("--download", help="Fetch pretrained weights that are not here.")] = False,
    precision: Annotated[str | None, typer.Option(help="auto, fp32 or bf16.")] = None,
    device: Annotated[str | None, typer.Option(help="cpu (default) or cuda.")] = None,
    second_look: Annotated[
        float | None, typer.Option(help="Share of images that the model looks at again, shifted and mirrored; 0: none.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Of all randomness in training.")] = None,
    split_seed: Annotated[int | None, typer.Option(help="Of the split, where the data has none.")] = None,
    group_by: GroupBy = None,
    window: Annotated[
        int | None, typer.Option(min=1, help="Of a series: how many steps to look at. Default: by the data.")
    ] = None,
    horizon: Annotated[int | None, typer.Option(min=1, help="Of a series: how many steps to foretell; 1.")] = None,
    ensemble: Annotated[
        int | None, typer.Option(min=2, max=20, help="Train so many models and answer by their weighted mean.")
    ] = None,
    learning_curve: Annotated[
        bool, typer.Option("--learning-curve", help="Say what more images would buy: about as long again.")
    ] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a run that was stopped.")] = False,
    inexact: Annotated[bool, typer.Option("--inexact", help="Resume on another machine or thread count.")] = False,
    samples: Annotated[
        bool, typer.Option("--samples/--no-samples", help="Show pictures of mistakes in the report of NAME.run.")
    ] = True,
    format: Format = None,
    trusted_key: TrustedKeys = None,
    threads: Threads = 0,
    as_json: AsJson = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Train a recogniser on DATA and write it to a bundle.

    Model, size and settings are chosen by the data and said, unless given. What belongs to the making (state, history,
    ledger of every file, report.html) lies in NAME.run beside the bundle. Ctrl-C keeps the state: go on with --resume.
    """
    from visto import api
    from visto.cli.reading import read_aloud
    from visto.data.dataset import noun_of

    began = context.obj.seconds if isinstance(context.obj, Began) else time.perf_counter()
    voice = Terminal(quiet=quiet)
    dataset = read_aloud(data, format, split_seed or 0, group_by, voice)
    parent = api.load(start_from, trusted=trusted_key or None) if start_from is not None else None
    trained = api.train(
        dataset,
        out,
        model=model,
        arguments=assignments(settings or []),
        features=_names(features),
        read_as=read_as,
        start_from=parent,
        size=size,
        budget=budget,
        epochs=epochs,
        batch_size=batch_size,
        lr=lr,
        optimiser=optimiser,
        schedule=schedule,
        weight_decay=weight_decay,
        l1=l1,
        ema=ema,
        label_smoothing=label_smoothing,
        mixup=mixup,
        augmentation=_names(augment),
        patience=patience,
        precision=precision,
        device=device,
        second_look=second_look,
        prepare=_names(prepare),
        scratch=scratch,
        download=download,
        unfreeze=unfreeze,
        views=views,
        lr_decay=lr_decay,
        balance=balance,
        repeats=repeats,
        seed=seed,
        split_seed=split_seed,
        ensemble=ensemble,
        learning_curve=learning_curve,
        window=window,
        horizon=horizon,
        resume=resume,
        inexact=inexact,
        samples=samples,
        threads=threads,
        voice=voice,
        clock=lambda: time.perf_counter() - began,
    )
    manifest, curve = trained.bundle.manifest, trained.learning_curve
    took = round(time.perf_counter() - began, 1)
    if as_json:
        document = {
            "bundle": str(out),
            "task": manifest.task,
            "seconds": took,
            "metrics": {name: figure.to_json() for name, figure in manifest.metrics.items()},
            **({"ladder": manifest.recipe["ladder"]} if "ladder" in manifest.recipe else {}),
        }
        show_json(document if curve is None else {**document, "learning_curve": curve})
        return
    held_out = counted(manifest.data["validation"], f"validation {noun_of(dataset.items)}")
    show(f"{out} written after {took} s; on {held_out}, with 95 % intervals:")
    show(table(rows_of(manifest.metrics), indent="  "))
    if manifest.task == "forecast":
        from visto.evaluation.gains import against_plain

        show("\n".join(against_plain(manifest.metrics, manifest.model.name)))
    if ladder := manifest.recipe.get("ladder"):
        show(_climbed(ladder))
    if ensemble_of := manifest.recipe.get("ensemble"):
        show(_members(ensemble_of))
    if curve is not None:
        show(_curve(curve))


def _members(ensemble: Mapping[str, Any]) -> str:
    """What each member of an ensemble is worth, and whether all are worth more."""
    names = list(ensemble["figures"][0])
    rows = [("member", *names, "weight")]
    for seed, figures, weight in zip(ensemble["seeds"], ensemble["figures"], ensemble["weights"], strict=True):
        rows.append((f"seed {seed}", *(f"{figures[name]:.4f}" for name in names), f"{weight:.2f}"))
    return f"made of:\n{table(rows, indent='  ')}\n  {ensemble['words']}"


def _climbed(ladder: Mapping[str, Any]) -> str:
    """What each rung of a ladder is worth and has cost, why it was kept or not, and which is the best."""
    from visto.types import Figure

    figure = next((rung["figure"] for rung in ladder["rungs"] if rung["figure"]), "figure")
    rows = [("rung", figure, "s", "size", "")]
    for rung in ladder["rungs"]:
        if rung["value"] is None:
            rows.append((rung["name"], "", "", "", rung["words"]))
            continue
        size = rung["bytes"]
        size = f"{size:.0f} B" if size < 1e3 else f"{size / 1e3:.1f} kB" if size < 1e5 else f"{size / 1e6:.1f} MB"
        rows.append((rung["name"], str(Figure(**rung["value"])), f"{rung['seconds']:.1f}", size, rung["words"]))
    return f"climbed:\n{table(rows, indent='  ')}\n  {printable(ladder['words'])}"


def _curve(curve: Mapping[str, Any]) -> str:
    """The measured points of a learning curve, the forecast, and what they say."""
    from visto.types import Figure

    def row(point: Mapping[str, Any], how: str) -> tuple[str, ...]:
        return (f"{point['images']:,}", str(Figure(value=point["value"], low=point["low"], high=point["high"])), how)

    rows = [("images", str(curve["points"][0]["figure"]), "")] + [row(point, "") for point in curve["points"]]
    if curve["forecast"]:
        rows.append(row(curve["forecast"], "forecast"))
    return f"trained on fewer images, judged on the same:\n{table(rows, indent='  ')}\n  {printable(curve['words'])}"


def _names(text: str | None) -> list[str] | None:
    if text is None:
        return None
    return [] if text == "none" else [name.strip() for name in text.split(",") if name.strip()]
