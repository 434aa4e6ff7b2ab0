"""How many of N random tampers of signed models are accepted: ``python -m bench.tamper --n 10000``. None may be.

The kinds are those of ``tests/bundle/tampers.py``; the models are the golden bundle and a made-up exported file. The
table goes to stdout, and the exit code is 1 where one was accepted.
"""

import argparse
import shutil
import sys
import tempfile
from collections import Counter
from pathlib import Path
from random import Random

from tests.bundle.signed_models import accepted, bundle_case, export_case
from tests.bundle.tampers import ANY, BUNDLE, tampered


def main() -> int:
    """Tamper, count, print."""
    parser = argparse.ArgumentParser(prog="python -m bench.tamper", description=__doc__.split("\n")[0])
    parser.add_argument("--n", type=int, default=10_000, help="how many tampers, half of them of an exported file")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    random = Random(asked.seed)  # noqa: S311  (a run can be repeated)
    tried, passed = Counter[str](), Counter[str]()
    with tempfile.TemporaryDirectory() as folder:
        for name in ("bundle", "export"):
            (Path(folder) / name).mkdir()
        cases = [bundle_case(Path(folder) / "bundle"), export_case(Path(folder) / "export")]
        for name, case in zip(("bundle", "export"), cases, strict=True):
            assert accepted(case.good, case, Path(folder) / f"untouched {name}"), f"an untouched {name} was refused"
        for number in range(asked.n):
            case = cases[number % len(cases)]
            kind = random.choice(sorted(ANY if case.path else BUNDLE))
            content = tampered(random, case, kind)
            kind = f"{'export' if case.path else 'bundle'}: {kind}"
            tried[kind] += 1
            place = Path(tempfile.mkdtemp(dir=folder))
            if looks := accepted(content, case, place):
                passed[kind] += 1
                print(f"ACCEPTED by {', '.join(looks)}: tamper {number}, {kind}", file=sys.stderr)
            shutil.rmtree(place)
    for kind, count in sorted(tried.items()):
        print(f"{kind:<36} {count:>6} tried {passed[kind]:>4} accepted")
    print(f"{'all':<36} {tried.total():>6} tried {passed.total():>4} accepted")
    return int(bool(passed))


if __name__ == "__main__":
    sys.exit(main())
