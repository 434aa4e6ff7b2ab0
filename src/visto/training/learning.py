"""The long part of a run: learning step by step, keeping the state, stopping when asked."""

import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from visto.errors import Interrupted, Terminated, UsageError
from visto.learn import GradientLearner, State, fit, save_state
from visto.training.folder import RunFolder
from visto.types import Voice

_PACE = 3.0  # seconds between two looks at whether the budget will be kept
_SAVE_EVERY = 15.0  # seconds at the most: what a kill costs


def learn(learner: GradientLearner, folder: RunFolder, clock: Callable[[], float], voice: Voice) -> State:
    """Run the steps that are left, keeping the state now and then, and whenever somebody stops us.

    Raises UsageError where the loss becomes infinite: to go on would lead there again.
    """
    try:
        return _learnt(learner, folder, clock, voice)
    except UsageError as error:
        hint = f"remove {folder.root}, then train again with a lower --lr, or with --lr auto"
        raise UsageError(error.message, expected=error.expected, hint=hint) from error


def _learnt(learner: GradientLearner, folder: RunFolder, clock: Callable[[], float], voice: Voice) -> State:
    if folder.state.exists():
        state = learner.resume(folder.state, voice)
        voice.say(f"going on after step {state.step:,} of {state.total_steps:,}")
    else:
        began = time.perf_counter()
        state = learner.start(clock, voice)
        state.seconds += time.perf_counter() - began
        save_state(folder.state, state)
    for decision in ("precision",) if state.ended else ("precision", "lr"):
        voice.say(f"{decision}: {state.decisions[decision]} {_reason(decision, state)}".rstrip())
    if "head_errors" in state.decisions:
        wrong, of = state.decisions["head_errors"], state.decisions["head_images"]
        voice.say(f"the classifier alone errs on {wrong:,} of {of:,} images left out of its fit")
    if state.ended:
        voice.say(state.ended)
    due = time.perf_counter() + 1
    began, looked, first = time.perf_counter(), time.perf_counter(), state.step
    with stoppable() as stopped:
        for step in voice.progress(fit(learner, state), total=state.total_steps - state.step, words="learning"):
            if step.figures is not None:
                voice.say(_epoch_line(step.figures, state, learner.task.monitor[0]))
            if (now := time.perf_counter()) - looked > _PACE:
                looked = now
                if learner.keep_pace(state, state.step - first, now - began, clock()):
                    voice.say(f"slower than planned: {state.total_steps:,} steps in all")
            if stopped or time.perf_counter() > due:
                due = _keep(folder, state)
            if stopped:
                raise stopped[0](
                    f"stopped after step {state.step:,} of {state.total_steps:,}; the state is in {folder.path}",
                    hint="go on with the same command and --resume",
                )
    _keep(folder, state)
    return state


def _keep(folder: RunFolder, state: State) -> float:
    """Write state and history; gives the perf_counter at which to do so again: when it costs 1 % of the time."""
    began = time.perf_counter()
    save_state(folder.state, state)
    folder.write_history(state.history)
    now = time.perf_counter()
    return now + min(_SAVE_EVERY, max(1.0, 100 * (now - began)))


@contextmanager
def stoppable() -> Iterator[list[type[Interrupted]]]:
    """A list that fills when Ctrl-C or SIGTERM asks us to stop: the step in hand is finished first."""
    asked: list[type[Interrupted]] = []
    kinds = {signal.SIGINT: Interrupted, signal.SIGTERM: Terminated}
    try:
        before = {
            number: signal.signal(number, lambda n, _: asked.append(kinds[signal.Signals(n)])) for number in kinds
        }
    except ValueError:  # not in the main thread: whoever calls us has the signals
        yield asked
        return
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _reason(decision: str, state: State) -> str:
    if decision == "precision":
        return f"({state.decisions['precision_reason']})"
    return "(by a range test)" if "range_test" in state.decisions else ""


def _epoch_line(figures: Mapping[str, Any], state: State, monitored: str) -> str:
    parts = [
        f"epoch {figures['epoch']:>3}",
        f"step {state.step:,}/{state.total_steps:,}",
        f"loss {figures['loss']:.4f}",
    ]
    if "validation_loss" in figures:
        parts.append(f"validation loss {figures['validation_loss']:.4f}")
    return "  ".join([*parts, f"{monitored} {figures[f'validation_{monitored}']:.4f}"])
