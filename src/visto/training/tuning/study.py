"""The study: which values to try next, and what came of those tried, kept so that a kill costs one trial.

All that knows Optuna is in this file. Optuna is an extra (``visto[tune]``), so the file is imported where a study is
opened.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.importance import FanovaImportanceEvaluator, get_param_importances
from optuna.pruners import MedianPruner
from optuna.samplers import TPESampler
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.trial import FrozenTrial, TrialState

from visto.files import as_resource_error
from visto.training.tuning.choices import Choice, Value
from visto.training.tuning.trial import Result, Tried

_NAME = "visto tune"
_AT_RANDOM = 8  # trials before what they showed decides what is tried
_BEFORE_PRUNING = 8  # trials that go to their end: what is told of the choices rests on them
_PRUNED_FROM = 50  # per cent of a trial's steps: before, a high learning rate looks worse than it ends
_FEWEST = 6  # trials that went to their end: from fewer no importance is told


class _Alone(JournalFileOpenLock):
    """No lock: the folder of the run is held already, and what a killed process left locked would be waited for."""

    def acquire(self) -> bool:
        return True

    def release(self) -> None:
        pass


class Study:
    """The trials in the journal at ``path`` (JSON lines), found or begun. ``sense`` is max or min.

    What is tried next is a function of ``seed`` and of the trials that have ended: one that was killed is so repeated.
    Raises ResourceError where the journal cannot be written.
    """

    def __init__(self, path: Path, choices: Sequence[Choice], *, seed: int, sense: str) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.choices = choices
        self._seed = seed
        self._space = {choice.name: _distribution(choice) for choice in choices}
        try:
            _mend(path)
            storage = JournalStorage(JournalFileBackend(str(path), lock_obj=_Alone(str(path))))
            self._study = optuna.create_study(
                study_name=_NAME,
                storage=storage,
                direction="maximize" if sense == "max" else "minimize",
                load_if_exists=True,
                pruner=MedianPruner(n_startup_trials=_BEFORE_PRUNING, n_warmup_steps=_PRUNED_FROM),
            )
            for trial in self._study.get_trials(states=(TrialState.RUNNING,)):
                self._study.tell(trial.number, state=TrialState.FAIL)
        except OSError as error:
            raise as_resource_error(error, path) from error

    def ended(self) -> list[Tried]:
        """The trials that have ended, the default recipe's first; those that were killed do not count."""
        found = self._study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))
        return [_tried(number, trial) for number, trial in enumerate(found)]

    def ask(self) -> "Asked":
        """The next trial: the default first, then some drawn at random, then by TPE (Bergstra et al. 2011)."""
        count = len(self.ended())
        if not count and not self._study.get_trials(deepcopy=False, states=(TrialState.WAITING,)):
            self._study.enqueue_trial({choice.name: choice.default for choice in self.choices})
        digest = hashlib.blake2b(f"tune\0{self._seed}\0{count}".encode(), digest_size=4).digest()
        self._study.sampler = TPESampler(
            seed=int.from_bytes(digest), multivariate=False, constant_liar=False, n_startup_trials=_AT_RANDOM
        )
        return Asked(self._study, self._study.ask(self._space), count)

    def note(self, name: str, value: Mapping[str, Any]) -> None:
        """Keep a decision that the clock or a measurement took."""
        self._study.set_user_attr(name, dict(value))

    def noted(self, name: str) -> dict[str, Any] | None:
        """A decision that was taken, if it was."""
        found: dict[str, Any] | None = self._study.user_attrs.get(name)
        return found

    def importance(self) -> tuple[dict[str, float], int]:
        """What share of the differences between trials each choice accounts for, and how many trials that rests on.

        By fANOVA (Hutter et al. 2014), over the trials that went to their end. Empty where these are too few, or alike.
        """
        whole = [t for t in self._study.get_trials(deepcopy=False) if t.state == TrialState.COMPLETE]
        if len(whole) < _FEWEST or len({trial.value for trial in whole}) < 2:
            return {}, len(whole)
        shares = get_param_importances(self._study, evaluator=FanovaImportanceEvaluator(seed=0))
        return {name: round(float(share), 4) for name, share in shares.items()}, len(whole)


class Asked:
    """A trial that is to be made: its number and the values to try."""

    def __init__(self, study: optuna.Study, trial: optuna.Trial, number: int) -> None:
        self._study = study
        self._trial = trial
        self.number = number
        self.values: dict[str, Value] = dict(trial.params)
        self._percents: set[int] = set()

    def hopeless(self, percent: int, figure: float) -> bool:
        """Note the figure after so much of its steps; whether it is worse than half of the others were there."""
        if percent in self._percents:  # of more than a hundred looks
            return False
        self._percents.add(percent)
        self._trial.report(figure, percent)
        return bool(self._trial.should_prune())

    def tell(self, result: Result) -> Tried:
        """Keep what came of it."""
        self._trial.set_user_attr("result", {**asdict(result), "curve": [list(point) for point in result.curve]})
        if result.outcome == "complete":
            self._study.tell(self._trial, result.figure)
        else:
            self._study.tell(self._trial, state=TrialState.PRUNED)
        return Tried(number=self.number, values=self.values, result=result)


def _distribution(choice: Choice) -> BaseDistribution:
    if choice.options:
        return CategoricalDistribution(choice.options)
    return FloatDistribution(choice.low, choice.high, log=True)


def _tried(number: int, trial: FrozenTrial) -> Tried:
    stored = dict(trial.user_attrs["result"])
    stored["curve"] = tuple((float(x), float(y)) for x, y in stored["curve"])
    return Tried(number=number, values=dict(trial.params), result=Result(**stored))


def _mend(path: Path) -> None:
    """Take the half line off that a kill may have left at the end."""
    if not path.exists():
        return
    with path.open("rb+") as file:
        content = file.read()
        file.truncate(content.rfind(b"\n") + 1)
