"""Transfer: frozen stages run once, a fitted head, the upper stages learnt; and that a killed run goes on exactly."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn

from tests.learn.conftest import quadrants
from visto.data.cache import Pixels
from visto.errors import UsageError
from visto.files import Growing
from visto.learn import FeatureFeed, GradientLearner, Recipe, fit, outputs, save_state
from visto.learn.balance import Balance
from visto.learn.engine import Engine
from visto.learn.feed import started_model
from visto.learn.head import errors_left_out, fit_head, nearest_classes
from visto.models import build_model
from visto.models.backbone import Backbone
from visto.models.folded import folded
from visto.preprocess import PREPROCESS
from visto.spec import Spec
from visto.tasks.classification import Classification
from visto.types import Label, Silent

CLASSES = "abcd"
FP32 = Engine(precision="fp32")


def pixels(n: int, seed: int) -> Pixels:
    """Quadrants at 32 pixels in colour, each content with a digest of its own."""
    small = quadrants(n, seed)
    large = small.storage.repeat_interleave(4, 2).repeat_interleave(4, 3).expand(-1, 3, -1, -1).contiguous()
    digests = torch.randint(0, 256, (n, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))
    return replace(small, storage=large, digests=digests)


@pytest.fixture
def recipe() -> Recipe:
    arguments = {"size": [32, 32], "channels": 3, "mean": [0.3] * 3, "std": [0.2] * 3}
    return Recipe(
        model=Spec(name="resnet18", arguments={"classes": 4, "channels": 3, "size": [32, 32]}),
        preprocess=Spec(name="standard", arguments=arguments),
        learner="transfer",
        frozen=7,
        views=2,
        epochs=2,
        batch_size=16,
        lr=1e-3,
        lr_decay=0.5,
        augmentation=("zoom",),
        precision="fp32",
    )


def learner_of(recipe: Recipe, folder: Path) -> GradientLearner:
    task = Classification(classes=CLASSES)
    initial = started_model(recipe, None).state_dict()
    feed = FeatureFeed(recipe, task, pixels(70, 0), pixels(20, 1), initial, folder / "features")
    return GradientLearner(recipe, task, feed)


def test_a_killed_transfer_ends_the_same(recipe: Recipe, tmp_path: Path) -> None:
    learner = learner_of(recipe, tmp_path)
    unbroken = learner.start()
    for step in fit(learner, unbroken):
        if step.step == 3:
            save_state(tmp_path / "state", unbroken)
    again = learner_of(recipe, tmp_path)
    state = again.resume(tmp_path / "state", Silent())
    list(fit(again, state))
    assert state.step == unbroken.step
    assert all(torch.equal(state.averaged[k], v) for k, v in unbroken.averaged.items())


def test_features_that_are_half_written_are_finished_and_the_same(recipe: Recipe, tmp_path: Path) -> None:
    learner = learner_of(recipe, tmp_path)
    learner.feed.prepare(FP32, Silent())
    whole = (tmp_path / "features").read_bytes()

    class Stopped(Exception):
        pass

    class Stopping(Silent):
        def progress(self, items: Any, *, total: int, words: str) -> Any:
            for count, item in enumerate(items):
                if count == 2:
                    raise Stopped
                yield item

    other = tmp_path / "other"
    other.mkdir()
    with pytest.raises(Stopped):
        learner_of(recipe, other).feed.prepare(FP32, Stopping())
    again = learner_of(recipe, other)
    again.feed.prepare(FP32, Silent())
    assert (other / "features").read_bytes() == whole


def test_with_too_few_errors_only_the_classifier_is_learnt(recipe: Recipe, tmp_path: Path) -> None:
    learner = learner_of(replace(recipe, least_errors=71), tmp_path)
    state = learner.start()
    assert "too few errors" in state.ended
    assert list(fit(learner, state)) == []
    initial = started_model(recipe, None).state_dict()
    whole = learner.feed.whole(state.averaged)
    assert [k for k, v in initial.items() if not torch.equal(whole[k], v)] == ["classifier.weight", "classifier.bias"]


def test_features_of_other_settings_are_not_taken(recipe: Recipe, tmp_path: Path) -> None:
    learner_of(recipe, tmp_path).feed.prepare(FP32, Silent())
    before = (tmp_path / "features").read_bytes()
    learner_of(replace(recipe, seed=1), tmp_path).feed.prepare(FP32, Silent())
    assert (tmp_path / "features").read_bytes() != before


def test_the_whole_model_gives_what_its_halves_gave(recipe: Recipe, tmp_path: Path) -> None:
    learner = learner_of(recipe, tmp_path)
    state = learner.start()
    list(fit(learner, state))
    whole = learner.feed.whole(state.averaged)
    shown = pixels(20, 1)
    given = outputs(learner.task, recipe.model, recipe.preprocess.build(PREPROCESS), whole, shown)["logits"]
    state.model.load_state_dict(state.averaged)
    state.model.eval()
    with torch.no_grad():
        halves = torch.cat([state.model(part)["logits"] for part in learner.feed.held_out()])
    torch.testing.assert_close(given, halves, atol=1e-4, rtol=1e-4)


def test_frozen_stages_stay_as_they_are_and_upper_ones_learn_less_the_lower_they_are(
    recipe: Recipe, tmp_path: Path
) -> None:
    learner = learner_of(recipe, tmp_path)
    initial = started_model(recipe, None).state_dict()
    state = learner.start()
    # 10 stages: those that learn are 7 and 8; 9, the pooling, has no weights
    assert sorted({group.share for group in state.optimiser.groups}) == [0.125, 0.25, 1.0]
    list(fit(learner, state))
    whole = learner.feed.whole(state.averaged)
    frozen = [name for name in initial if name.startswith(tuple(f"stages.{stage}." for stage in range(7)))]
    assert frozen
    assert all(torch.equal(whole[name], initial[name]) for name in frozen)
    assert not torch.equal(whole["stages.8.body.0.weight"], initial["stages.8.body.0.weight"])


def test_folding_norms_into_convolutions_changes_nothing() -> None:
    for name in ("efficientnet_lite0", "resnet50"):
        torch.manual_seed(0)
        model = build_model(Spec(name=name, arguments={"classes": 3, "channels": 3, "size": [64, 64]}))
        assert isinstance(model, Backbone)
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                assert module.running_mean is not None and module.running_var is not None
                nn.init.uniform_(module.running_mean, -0.5, 0.5)
                nn.init.uniform_(module.running_var, 0.5, 2)
        images = torch.randn(2, 3, 64, 64)
        with torch.no_grad():
            plain, fused = model.eval().stages(images), folded(model.stages)(images)
        torch.testing.assert_close(plain, fused, atol=1e-4, rtol=1e-3)
        assert not any(isinstance(module, nn.BatchNorm2d) for module in folded(model.stages).modules())


def head_of(embeddings: Tensor, labels: Tensor, balance: str = "none") -> nn.Linear:
    targets = nn.functional.one_hot(labels, 3).float()
    balanced = Balance(balance, targets)
    return fit_head(
        Classification(classes="abc"),
        embeddings,
        targets,
        weights=balanced.at_once(1),
        balance=balanced,
        images=len(targets),
    )


def test_the_head_is_logistic_regression() -> None:
    random = np.random.default_rng(0)
    labels = random.integers(0, 3, 300)
    values = (random.normal(size=(300, 10)) * 3 + 5 + labels[:, None] * random.normal(size=10)).astype(np.float32)
    layer = head_of(torch.from_numpy(values), torch.from_numpy(labels))
    scaled = (values - values.mean(0)) / values.std(0)
    model = LogisticRegression(C=0.03, max_iter=1000, tol=1e-8).fit(scaled, labels)
    with torch.no_grad():
        ours = layer(torch.from_numpy(values)).softmax(1).numpy()
    np.testing.assert_allclose(ours, model.predict_proba(scaled), atol=2e-3)


@pytest.mark.parametrize("balance", ["weights", "logits", "sampling"])
def test_a_balanced_head_gives_a_rare_class_its_due(balance: str) -> None:
    random = torch.Generator().manual_seed(0)
    labels = torch.cat([torch.zeros(200), torch.ones(200), torch.full((8,), 2)]).long()
    embeddings = torch.randn(len(labels), 6, generator=random) + nn.functional.one_hot(labels, 6) * 2.0

    def recall(layer: nn.Linear) -> float:
        with torch.no_grad():
            return float((layer(embeddings[labels == 2]).argmax(1) == 2).float().mean())

    assert recall(head_of(embeddings, labels, balance)) > recall(head_of(embeddings, labels))


def test_a_model_without_stages_is_refused(recipe: Recipe, tmp_path: Path) -> None:
    plain = replace(recipe, model=Spec(name="resnet", arguments={"classes": 4, "channels": 3, "size": [32, 32]}))
    with pytest.raises(UsageError, match="no stages"):
        learner_of(plain, tmp_path)


def test_a_growing_file_keeps_whole_blocks_only(tmp_path: Path) -> None:
    path = tmp_path / "grown"
    file = Growing(path, key="a")
    file.append(b"one")
    file.note()
    file.append(b"two")  # not noted: lost with the process
    again = Growing(path, key="a")
    assert (again.blocks, path.read_bytes()) == (1, b"one")
    again.append(b"2")
    again.note()
    assert (Growing(path, key="a").blocks, path.read_bytes()) == (2, b"one2")
    assert (Growing(path, key="b").blocks, path.read_bytes()) == (0, b"")


def test_errors_are_counted_on_images_left_out_of_the_fit() -> None:
    random = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 3, (60,), generator=random)
    noise = torch.randn(60, 200, generator=random)  # more numbers than images: fitted ones are never wrong
    targets = nn.functional.one_hot(labels, 3).float()
    truth = [Label(index=k) for k in labels.tolist()]
    assert errors_left_out(Classification(classes="abc"), noise, targets, truth, range(60)) > 25
    told = noise[:, :6] + 20 * nn.functional.one_hot(labels, 6)
    assert errors_left_out(Classification(classes="abc"), told, targets, truth, range(60)) == 0


def test_images_of_one_scene_are_not_parted_between_fit_and_count() -> None:
    random = torch.Generator().manual_seed(0)
    scenes = torch.arange(200) // 10
    embeddings = torch.randn(20, 64, generator=random)[scenes] + 0.01 * torch.randn(200, 64, generator=random)
    labels = torch.randint(0, 3, (20,), generator=random)[scenes]  # a scene says nothing of another one's class
    targets = nn.functional.one_hot(labels, 3).float()
    truth = [Label(index=k) for k in labels.tolist()]
    task = Classification(classes="abc")
    assert errors_left_out(task, embeddings, targets, truth, range(200)) == 0
    assert errors_left_out(task, embeddings, targets, truth, scenes.tolist()) > 80


def test_a_head_that_knows_something_is_drawn_towards_it() -> None:
    random = torch.Generator().manual_seed(0)
    embeddings = torch.randn(12, 8, generator=random)
    targets = nn.functional.one_hot(torch.arange(12) % 3, 3).float()
    known = nn.Linear(8, 3)
    balance = Balance("none", targets)
    task = Classification(classes="abc")
    fresh = fit_head(task, embeddings, targets, weights=None, balance=balance, images=12)
    goes_on = fit_head(task, embeddings, targets, weights=None, balance=balance, images=12, start=known)
    assert (goes_on.weight - known.weight).norm() < (fresh.weight - known.weight).norm()


def test_the_nearest_published_class_is_found_for_each_of_ours() -> None:
    published = nn.Linear(4, 4)
    with torch.no_grad():
        published.weight.copy_(torch.eye(4) * 9)
        published.bias.zero_()
    labels = torch.tensor([0, 0, 1, 1])
    embeddings = nn.functional.one_hot(torch.tensor([3, 3, 1, 1]), 4).float()
    found = nearest_classes(published, embeddings, nn.functional.one_hot(labels, 2).float())
    assert torch.equal(found.weight, published.weight[[3, 1]])
