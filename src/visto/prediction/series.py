"""What comes after the last row of a series in a file."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from visto.data.series_file import read_series_file
from visto.data.walk import readable
from visto.errors import DataError, UsageError
from visto.prediction.recogniser import Recogniser
from visto.tasks.forecast import Forecast
from visto.types import Answer, Future


@dataclass(frozen=True, slots=True, kw_only=True)
class Foretold:
    """The answer for the file ``id``, the steps T×F that it rests on, and a word where there were too few of them."""

    id: str
    answer: Answer[Future]
    seen: Tensor
    note: str = ""


def foretell(recogniser: Recogniser, path: Path, *, confidence: float | None = None) -> Foretold:
    """The forecast after the last row of a file with the model's columns, whose last ``window`` rows it looks at.

    Where there are fewer, the first is repeated before them. Raises DataError for a column that is missing or what is
    no series, UsageError for a model that foretells nothing.
    """
    task = recogniser.task
    if not isinstance(task, Forecast):
        raise UsageError("this model is not for series of numbers", expected="one of the task forecast")
    if not path.is_file():
        raise DataError(f"{readable(str(path))} is no file", expected="a .csv, .tsv, .npz or .npy of numbers")
    found = read_series_file(path)
    if missing := [name for name in task.classes if name not in found.names]:
        raise DataError(
            f"{path.name} has no column {', '.join(map(repr, missing[:5]))}",
            expected=f"the columns {', '.join(map(repr, task.classes[:20]))}",
        )
    columns = [found.names.index(name) for name in task.classes]
    seen = torch.from_numpy(found.values[-task.window :, columns])
    lacking, note = task.window - len(seen), ""
    if lacking > 0:
        note = f"{len(seen)} rows where the model looks at {task.window}: the first stands for those before it"
        seen = torch.cat([seen[:1].expand(lacking, -1), seen])
    (answer,) = recogniser.answers(seen[None])
    answer = task.doubt(answer, threshold=None, confidence=confidence)
    return Foretold(id=readable(str(path)), answer=answer, seen=seen, note=note)
