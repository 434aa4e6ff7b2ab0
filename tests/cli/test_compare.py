"""``visto compare`` as a user calls it, and what it says to what cannot be compared."""

import csv
from pathlib import Path

import pytest

from tests.cli.conftest import Visto, fill


@pytest.fixture
def other(visto: Visto, photos: Path) -> Path:
    """A second model of the same photos, of another size and seed."""
    assert visto.train(photos, "--size", "6", "--seed", "5", out="b.visto").code == 0
    return visto.folder / "b.visto"


@pytest.fixture
def fresh(tmp_path: Path) -> Path:
    """Photos that no model has seen: twelve cats and twelve dogs."""
    return fill(tmp_path / "fresh", images=12, start=100)


def test_in_words(visto: Visto, bundle: Path, other: Path, fresh: Path) -> None:
    ended = visto("compare", bundle, other, fresh)
    assert ended.code == 0
    lines = ended.out.splitlines()
    assert lines[0] == f"A is {bundle}, B is {other}"
    assert lines[1] == "classification on 24 images, with the 95 % interval of the difference:"
    assert lines[2].split() == ["A", "B", "B", "minus", "A"]
    assert lines[3].split()[0] == "accuracy"
    assert "only A is right on" in lines[-2]
    assert lines[-1].startswith(("no difference", "B is "))


def test_as_json(visto: Visto, bundle: Path, other: Path, fresh: Path) -> None:
    found = visto("compare", bundle, other, fresh, "--json").document
    assert (found["task"], found["split"], found["n"]) == ("classification", "all", 24)
    assert set(found["difference"]) == set(found["a"]) & set(found["b"])
    for name, figure in found["difference"].items():
        assert set(figure) == {"value", "low", "high"}
        assert figure["value"] == found["b"][name]["value"] - found["a"][name]["value"]
    assert set(found["mcnemar"]) == {"only_a_right", "only_b_right", "p"}
    assert isinstance(found["verdict"], str)
    assert found["overlap"] == {"a": 0, "b": 0, "left_out": 0}
    turned = visto("compare", other, bundle, fresh, "--json").document
    assert (turned["a"], turned["b"]) == (found["b"], found["a"])
    judged = visto("evaluate", bundle, fresh, "--json").document
    assert judged["metrics"] == found["a"]


def test_images_seen_by_either_are_left_out(visto: Visto, bundle: Path, other: Path, photos: Path) -> None:
    ended = visto("compare", bundle, other, photos, "--json")
    assert ended.code == 0
    assert ended.document["n"] == 2
    assert "14 images left out: A or B was made from them" in ended.err
    ended = visto("compare", bundle, other, photos, "--split", "train", "--json")
    n = ended.document["n"]
    assert ended.document["overlap"] == {"a": n, "b": n, "left_out": 0}
    assert f"careful: A was made from {n} of these {n} images" in ended.err
    assert f"careful: B was made from {n} of these {n} images" in ended.err


def test_images_that_cannot_be_read(visto: Visto, bundle: Path, other: Path, fresh: Path) -> None:
    (fresh / "cat" / "100.png").write_bytes(b"not an image")
    ended = visto("compare", bundle, other, fresh, "--json")
    assert ended.code == 0
    assert ended.document["n"] == 23
    assert "1 image could not be read, such as 'cat/100.png'" in ended.err


def test_all_seen_ends_with_3(visto: Visto, bundle: Path, other: Path, photos: Path) -> None:
    from visto.data import read

    for item in read(photos).items:
        if item.split == "test":
            assert isinstance(item.source, Path)
            item.source.unlink()
    ended = visto("compare", bundle, other, photos, "--json")
    assert ended.code == 3
    error = ended.document["error"]
    assert "no image is left to compare on: 14 in all, 14 of them were used to make A, 14 to make B" in error["message"]
    assert "--split" in error["hint"]


def test_a_model_with_itself(visto: Visto, bundle: Path, fresh: Path) -> None:
    ended = visto("compare", bundle, bundle, fresh)
    assert ended.code == 0
    assert "careful: A and B are the same model" in ended.err
    assert ended.out.splitlines()[-1].startswith("no difference: ")
    found = visto("compare", bundle, bundle, fresh, "--json").document
    assert all(f == {"value": 0.0, "low": None, "high": None} for f in found["difference"].values())


def test_other_classes(visto: Visto, bundle: Path, fresh: Path) -> None:
    assert visto.train(fill(visto.folder / "zoo", ["cat", "yak"]), out="z.visto").code == 0
    ended = visto("compare", bundle, "z.visto", fresh)
    assert ended.code == 2
    assert "only A knows 'dog'; only B knows 'yak'" in ended.err
    ended = visto("compare", bundle, bundle, fill(visto.folder / "yaks", ["cat", "yak"], start=50))
    assert ended.code == 3
    assert "'yak', which the model does not know" in ended.err


def test_bad_usage(visto: Visto, bundle: Path, fresh: Path) -> None:
    assert visto("compare", bundle, fresh).code == 2
    assert visto("compare", bundle, bundle, fresh, "--split", "some").code == 2
    assert visto("compare", bundle, "nowhere.visto", fresh).code == 4
    assert visto("compare", bundle, bundle, "nowhere").code in (2, 3)


def test_groups(visto: Visto, bundle: Path, other: Path, fresh: Path) -> None:
    with (visto.folder / "list.csv").open("w") as file:
        rows = csv.writer(file)
        rows.writerow(("path", "label", "group"))
        for k, item in enumerate(sorted(fresh.rglob("*.png"))):
            rows.writerow((item, item.parent.name, f"patient {k % 5}"))
    ended = visto("compare", bundle, other, "list.csv")
    assert ended.code == 0
    assert "classification on 24 images in 5 groups" in ended.out
    ended = visto("evaluate", bundle, "list.csv")
    assert "5 groups, the worst first:" in ended.out
    found = visto("evaluate", bundle, "list.csv", "--json").document["groups"]
    assert [group["n"] for group in sorted(found, key=lambda group: str(group["group"]))] == [5, 5, 5, 5, 4]
    highs = [group["metrics"]["accuracy"]["high"] for group in found]
    assert highs == sorted(highs)
    assert visto("evaluate", bundle, fresh, "--json").document["groups"] == []


def test_python(visto: Visto, bundle: Path, other: Path, fresh: Path) -> None:
    from visto import compare

    found = compare(bundle, other, fresh)
    assert found.to_json() == visto("compare", bundle, other, fresh, "--json").document
