"""Write the report: one file that needs nothing else, small enough to be sent by mail."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from visto.bundle import Bundle
from visto.data.dataset import Item
from visto.data.ledger import Entry
from visto.evaluation import Evaluation
from visto.files import write_bytes
from visto.report.forecast_page import gather_forecast_page
from visto.report.page import Counts, gather_page, render


def write_report(
    path: Path,
    *,
    bundle: Bundle,
    evaluation: Evaluation,
    history: Sequence[Mapping[str, Any]],
    ledger: Sequence[Entry],
    samples: bool = True,
    learning_curve: Mapping[str, Any] | None = None,
    tuning: Mapping[str, Any] | None = None,
    listed: Counts | None = None,
    trained_on: Sequence[Item] = (),
) -> Path:
    """Write what is known of ``bundle`` to ``path`` as HTML; equal input gives equal bytes, always under 5 MB.

    ``history`` and ``ledger`` are those of the run that made it (empty where they are lost). ``listed`` counts the
    images of the training data by split and class, ``trained_on`` has the items of its training split in order, where
    it is at hand. Without ``samples`` the page holds no image. Raises ResourceError where it cannot be written.
    """
    if evaluation.task == "forecast":
        foretold = gather_forecast_page(bundle, evaluation, history, ledger)
        write_bytes(path, render(foretold).encode("utf-8"))
        return path
    page = gather_page(
        bundle,
        evaluation,
        history,
        ledger,
        samples=samples,
        learning_curve=learning_curve,
        tuning=tuning,
        listed=listed or {},
        trained_on=trained_on,
    )
    write_bytes(path, render(page).encode("utf-8"))
    return path
