"""Which recipe the data gets, and what a request changes in it."""

from dataclasses import replace
from pathlib import Path

import pytest
from torch import nn

from visto.data import FORMATS, read
from visto.data.facts import Facts, look_at
from visto.data.reading import Format
from visto.errors import UsageError
from visto.learn import Recipe
from visto.quantities import seconds
from visto.recipes import (
    Request,
    apply,
    check_same,
    default_model,
    default_size,
    fine_tune,
    pretrained_sizes,
    speedrun,
    suggest,
    transfer,
)
from visto.spec import Spec
from visto.types import Size


def facts(height: int, width: int, *, uniform: bool = True, channels: int = 3) -> Facts:
    return Facts(typical=Size(height=height, width=width), uniform=uniform, channels=channels)


def test_small_images_keep_their_size() -> None:
    assert default_size(facts(28, 28))[0] == Size(height=28, width=28)
    assert default_size(facts(20, 60))[0] == Size(height=20, width=60)


def test_other_images_become_squares_of_a_trainable_size() -> None:
    assert default_size(facts(480, 640))[0] == Size(height=96, width=96)
    assert default_size(facts(30, 40, uniform=False))[0] == Size(height=40, width=40)


def test_grey_gets_a_cnn_and_colour_a_resnet_or_where_there_is_much_of_it_a_speedrun() -> None:
    assert default_model(facts(28, 28, channels=1), images=9_000)[0] == "cnn"
    assert default_model(facts(32, 32), images=9_000)[0] == "resnet"
    assert default_model(facts(32, 32), images=60_000)[0] == "speedrun"
    assert default_model(facts(500, 400), images=60_000, scratch=True)[0] == "resnet"


def test_photos_stand_on_a_pretrained_backbone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    name, why = default_model(facts(500, 400), images=60_000)
    assert name == "efficientnet_lite0" and "ImageNet" in why
    assert pretrained_sizes(facts(500, 480), name)[0] == [Size(height=224, width=224)]
    assert pretrained_sizes(facts(300, 400), name)[0] == [Size(height=224, width=224), Size(height=192, width=256)]
    assert pretrained_sizes(facts(900, 300), name)[0] == [Size(height=384, width=128)]
    monkeypatch.setattr("visto.recipes.default.find", lambda name: None)
    assert default_model(facts(500, 400), images=60_000)[0] == "resnet"


def test_a_transfer_freezes_the_lower_stages_unless_told_otherwise() -> None:
    recipe = transfer(
        replace(suggested(), model=replace(suggested().model, name="efficientnet_lite0")), images=1000, grey=False
    )
    assert (recipe.learner, recipe.pretrained, recipe.frozen) == ("transfer", True, 12)
    assert recipe.preprocess.arguments["mean"] == [127 / 255] * 3
    assert apply(recipe, Request(unfreeze=0)).frozen == 18
    assert (apply(recipe, Request(seed=1)).least_errors, apply(recipe, Request(epochs=2)).least_errors) == (15, 0)
    whole = apply(recipe, Request(unfreeze=18))
    assert (whole.learner, whole.pretrained, whole.views) == ("gradient", True, 0)
    assert "flip" in recipe.augmentation
    assert "flip" not in transfer(replace(recipe, augmentation=()), images=1000, grey=True).augmentation
    scratch = replace(suggested(), model=recipe.model)
    for asked in (Request(unfreeze=1), Request(views=2), Request(lr_decay=0.5)):
        with pytest.raises(UsageError, match="pretrained"):
            apply(scratch, asked)
    with pytest.raises(UsageError, match="0 to 18"):
        apply(recipe, Request(unfreeze=19))


def test_digits_are_grey_and_uniform() -> None:
    found = look_at(read("digits").items)
    assert (found.channels, found.typical, found.uniform) == (1, Size(height=8, width=8), True)


def suggested(images: int = 1000, channels: int = 3) -> Recipe:
    one = [0.5] * channels
    return suggest(
        model="resnet", images=images, classes=5, fit={"size": [32, 32], "channels": channels}, mean=one, std=one
    )


def test_little_data_is_seen_more_often_and_in_smaller_batches() -> None:
    assert suggested(50).epochs > suggested(50_000).epochs
    assert suggested(50).batch_size < suggested(50_000).batch_size


def test_grey_images_are_not_mirrored() -> None:
    assert "flip" in suggested().augmentation
    assert "flip" not in suggested(channels=1).augmentation


def test_a_request_is_laid_over_the_recipe() -> None:
    recipe = apply(suggested(), Request(epochs=3, augmentation=(), arguments={"width": 8}, seed=5))
    assert (recipe.epochs, recipe.augmentation, recipe.seed) == (3, (), 5)
    assert recipe.model.arguments["width"] == 8
    assert recipe.lr == suggested().lr


def test_fine_tuning_keeps_the_parents_model_with_new_classes() -> None:
    parent: Spec[nn.Module] = Spec(name="cnn", arguments={"classes": 2, "channels": 3, "size": [32, 32], "depth": 4})
    recipe = fine_tune(suggested(), parent, suggested().preprocess)
    assert recipe.model.arguments == {"classes": 5, "channels": 3, "size": [32, 32], "depth": 4}
    assert recipe.lr < suggested().lr


def test_a_resumed_run_may_repeat_its_options_or_leave_them_out() -> None:
    stored = Request(epochs=3, augmentation=("flip",), lr=0.0).given()
    check_same(stored, Request())
    check_same(stored, Request(epochs=3, augmentation=("flip",)))
    for other in (Request(epochs=4), Request(seed=1)):
        with pytest.raises(UsageError, match="was started with"):
            check_same(stored, other)
    with pytest.raises(UsageError, match="--from"):
        check_same(Request(start_from="abc").given(), Request())


@pytest.mark.parametrize(("text", "value"), [("90", 90), ("90s", 90), ("10m", 600), ("1h30m", 5400), ("1.5 m", None)])
def test_durations(text: str, value: float | None) -> None:
    if value is None:
        with pytest.raises(UsageError, match="duration"):
            seconds(text)
    else:
        assert seconds(text) == value


def test_every_format_says_what_it_is() -> None:
    assert all(isinstance(entry, Format) and entry.describe for entry in FORMATS.values())


def test_the_speedrun_sees_each_image_a_few_times_in_orthogonal_steps() -> None:
    recipe = speedrun(suggested(50_000), images=50_000)
    assert (recipe.optimiser, recipe.schedule, recipe.batch_size, recipe.augmentation) == (
        "muon",
        "linear",
        500,
        ("flip", "shift"),
    )
    assert recipe.epochs < suggested(50_000).epochs
    assert recipe.second_look > 0
    assert apply(recipe, Request(second_look=0)).second_look == 0
