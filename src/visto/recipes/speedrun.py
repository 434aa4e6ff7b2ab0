"""The recipe for many small images: few passes, orthogonal steps, a second look at what is unsure."""

from dataclasses import replace

from visto.learn import Recipe


def speedrun(recipe: Recipe, *, images: int) -> Recipe:
    """In the manner of the CIFAR-10 speed records (Jordan 2024, arXiv 2404.00498, with Muon), for two cores.

    Batches of 500 instead of their 2,000: a processor is as fast on them, and four times as many steps learn more in as
    many passes.
    """
    return replace(
        recipe,
        epochs=max(7, min(60, round(350_000 / max(1, images)))),
        batch_size=min(500, 2 * recipe.batch_size),
        optimiser="muon",
        lr=0.12,
        schedule="linear",
        ema=0.0,
        label_smoothing=0.2,
        augmentation=tuple("shift" if name == "crop" else name for name in recipe.augmentation),
        second_look=0.25,
    )
