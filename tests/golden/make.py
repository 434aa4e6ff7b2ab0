"""Makes a golden bundle: run once for each format version, commit what it writes, never change it again.

python tests/golden/make.py tests/golden/digits-1.visto
"""

import json
import shutil
import sys
import tempfile
from pathlib import Path

import visto
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


def answer(model: visto.Model, source: PixelRow) -> list[float]:
    """The scores of one image."""
    import torch

    images = torch.from_numpy(source.pixels.copy()).permute(2, 0, 1)[None]
    scores = model.recogniser.tensors(model.recogniser.fit(images))["scores"]
    return [round(float(s), 6) for s in scores[0]]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
