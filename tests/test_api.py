"""The public functions, end to end on embedded real data."""

from dataclasses import replace
from pathlib import Path

import pytest

import visto
from visto.errors import DataError, ModelError, UsageError
from visto.files import sha256_file
from visto.types import Label


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> visto.Model:
    return visto.train(visto.read("digits"), tmp_path_factory.mktemp("run") / "d.visto", epochs=6, threads=1)


def test_train_evaluate_predict_save_load(model: visto.Model, tmp_path: Path) -> None:
    data = visto.read("digits")
    found = visto.evaluate(model, data.test)
    assert found.n == len(data.test)
    assert found.left_out == 0
    assert found.figures["accuracy"].value > 0.9
    again = visto.load(model.save(tmp_path / "copy.visto"))
    assert visto.evaluate(again, data.test).figures == found.figures


def test_whole_data_is_judged_without_what_was_seen(model: visto.Model) -> None:
    found = visto.evaluate(model, "digits")
    assert found.n + found.left_out == 1797
    assert found.n == len(visto.read("digits").test)


def test_what_was_seen_is_never_judged_unasked(model: visto.Model) -> None:
    with pytest.raises(DataError, match="no image is left"):
        visto.evaluate(model, visto.read("digits").train)


def test_fine_tuning_starts_from_the_parent(model: visto.Model, tmp_path: Path) -> None:
    tuned = visto.train("digits", tmp_path / "t.visto", start_from=model, epochs=0.2, threads=1)
    assert tuned.bundle.manifest.metrics["accuracy"].value > 0.9
    with pytest.raises(UsageError, match="brings its own model"):
        visto.train("digits", tmp_path / "u.visto", start_from=model, model="mlp")


def test_fine_tuning_matches_classes_by_name_and_remembers_what_the_parent_saw(
    model: visto.Model, tmp_path: Path
) -> None:
    digits = visto.read("digits")
    odd = replace(
        digits.keep(lambda item: item.target is not None and item.target.classes[0] % 2 == 1),
        classes=tuple("97531"),
    )
    items = tuple(replace(i, target=Label(index=(9 - i.target.classes[0]) // 2)) for i in odd.items if i.target)
    tuned = visto.train(replace(odd, items=items), tmp_path / "o.visto", start_from=model, epochs=0.1, lr=1e-9)
    # hardly a step was taken, so what is known of the five classes came by name, in another order
    assert tuned.bundle.manifest.metrics["accuracy"].value > 0.9
    seen = {bytes(row) for row in tuned.bundle.seen["train"].numpy()}
    assert {bytes(row) for row in model.bundle.seen["train"].numpy()} <= seen


def test_predict_takes_a_path_or_bytes(model: visto.Model, tmp_path: Path) -> None:
    import io

    import numpy as np
    from PIL import Image

    item = next(i for i in visto.read("digits").test.items if i.target and i.target.classes == (0,))
    pixels = np.squeeze(item.source.pixels)  # type: ignore[union-attr]
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    path = tmp_path / "zero.png"
    path.write_bytes(buffer.getvalue())
    assert model.predict(path).value.index == model.predict(buffer.getvalue()).value.index == 0
    with pytest.raises(DataError, match=r"^the image: "):
        model.predict(b"not an image")
    with pytest.raises(DataError, match=r"^nowhere\.png: "):
        model.predict("nowhere.png")


def test_only_what_is_signed_is_loaded_where_keys_are_trusted(tmp_path: Path) -> None:
    golden = Path(__file__).parent / "golden" / "digits-1-sealed.visto"
    key = golden.with_suffix(".key.pub")
    copy = visto.load(golden, trusted=[str(key)]).save(tmp_path / "copy.visto")
    assert visto.load(copy, trusted=[key]).bundle.signed_by == sha256_file(key)
    (copy / "model.sig").unlink()
    visto.load(copy)
    with pytest.raises(ModelError, match="is not signed"):
        visto.load(copy, trusted=[key])
    with pytest.raises(UsageError, match="an empty list"):
        visto.load(copy, trusted=[])
