"""Makes a golden bundle: run once for each format version, commit what it writes, never change it again.

python tests/golden/make.py tests/golden/digits-1.visto
python tests/golden/make.py tests/golden/digits-1-sealed.visto --signed tests/golden/digits-1.visto

python tests/golden/make.py tests/golden/exported/digits-1.onnx --signed tests/golden/digits-1.visto

The second signs a copy of the first, by a key of which only the public half is kept, and nobody can sign with it again;
the third does the same with an export of it.
"""

import argparse
import json
import shutil
import tempfile
from pathlib import Path

import visto
from visto.bundle import looked_over, public_path, read_private_key, sign, write_key
from visto.data.dataset import PixelRow


def main(target: Path) -> None:
    digits = visto.read("digits")
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "it.visto"
        settings = {"hidden": [16]}
        model = visto.train(digits, out, model="mlp", arguments=settings, epochs=10, precision="fp32", threads=1)
        shutil.copytree(out, target)
    expected = {}
    for item in digits.test.items[:20]:
        assert isinstance(item.source, PixelRow)
        expected[item.id] = answer(model, item.source)
    target.with_suffix(".json").write_text(json.dumps(expected, indent=1) + "\n")


def sealed(target: Path, source: Path) -> None:
    if target.suffix == ".onnx":
        visto.export(source, target, data="digits")
    else:
        shutil.copytree(source, target)
        shutil.copyfile(source.with_suffix(".json"), target.with_suffix(".json"))
    whole = looked_over(target)
    with tempfile.TemporaryDirectory() as folder:
        key = Path(folder) / "golden.key"
        write_key(key)
        sign(whole.sealed, whole.digests, read_private_key(key))
        shutil.copyfile(public_path(key), target.with_suffix(".key.pub"))


def answer(model: visto.Model, source: PixelRow) -> list[float]:
    """The scores of one image."""
    import torch

    images = torch.from_numpy(source.pixels.copy()).permute(2, 0, 1)[None]
    scores = model.recogniser.tensors(model.recogniser.fit(images))["scores"]
    return [round(float(s), 6) for s in scores[0]]


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("target", type=Path)
    parser.add_argument("--signed", type=Path, metavar="BUNDLE", help="sign a copy of this one")
    asked = parser.parse_args()
    sealed(asked.target, asked.signed) if asked.signed else main(asked.target)
