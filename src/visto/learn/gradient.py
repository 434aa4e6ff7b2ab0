"""The gradient learner: mini-batches, backpropagation, an average of the weights, a look at validation an epoch."""

import copy
import math
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.func import functional_call

from visto.errors import BudgetError, UsageError
from visto.learn.budget import seconds_a_step
from visto.learn.engine import Engine, choose
from visto.learn.feed import Beginning, Feed
from visto.learn.fit import Step
from visto.learn.optimiser import OPTIMISERS
from visto.learn.randomness import reseed
from visto.learn.range_test import range_test
from visto.learn.recipe import Recipe
from visto.learn.schedule import SCHEDULES
from visto.learn.state import State, load_state, read_decisions
from visto.types import Batch, Silent, Task, Voice

_VIEWS = 5  # of an image that is looked at again
_WRITING = 1.5  # seconds for bundle and report
_TELLING = 0.05  # of the budget
_LATE = 0.97  # of the steps planned: as few more or less are the noise of the clock
_CAREFUL = 0.95  # of the time that is left: other work may slow the machine down


class GradientLearner:
    """Learns ``task`` by ``recipe`` on what ``feed`` gives; its validation images are just looked at."""

    def __init__(self, recipe: Recipe, task: Task[Any, Any], feed: Feed) -> None:
        self.recipe = recipe
        self.task = task
        self.feed = feed
        self.schedule = SCHEDULES[recipe.schedule]
        self.engine = Engine(precision="fp32", device=recipe.device)

    def blank(self) -> State:
        """A state before the first step, with no decision taken yet: what a saved one is loaded into."""
        recipe = self.recipe
        model = self.engine.module(self.feed.module())
        return State(
            model=model,
            averaged={k: v.detach().clone() for k, v in model.state_dict().items()},
            optimiser=OPTIMISERS[recipe.optimiser](model, recipe.weight_decay, recipe.lr_decay),
            total_steps=max(1, round(recipe.epochs * self.feed.order.steps_per_epoch)),
            decisions={"lr": recipe.lr},
        )

    def start(self, clock: Callable[[], float] = lambda: 0.0, voice: Voice | None = None) -> State:
        """A state before the first step, with every decision that measurement or the clock has to take, taken.

        ``clock`` gives the seconds that the run has used so far; the budget covers them too.
        """
        recipe = self.recipe
        self.engine = choose(recipe.precision, recipe.device, *self.feed.trial())
        state = self.blank()
        state.decisions |= self.engine.decisions()
        self.feed.prepare(self.engine, voice or Silent())
        beginning = self.feed.begin(state.model, self.engine)
        state.decisions |= beginning.decisions
        state.averaged = {k: v.detach().clone() for k, v in state.model.state_dict().items()}
        if beginning.ended:
            state.ended, state.total_steps = beginning.ended, 0
            return state
        if recipe.lr == 0:
            trial = self._copy(state)
            state.decisions |= range_test(lambda k, rate: self.descend(trial, self.feed.batch(k), rate))
        if recipe.budget:
            self._plan(state, beginning, clock)
        return state

    def _plan(self, state: State, beginning: Beginning, clock: Callable[[], float]) -> None:
        """Decide by the clock how many steps there will be. Raises BudgetError where there is no time for one."""
        recipe, trial = self.recipe, self._copy(state)
        step = seconds_a_step(lambda k: self._rehearse(trial, k), 0.02 * recipe.budget)
        began = time.perf_counter()
        self.look(trial)
        cost = step + (time.perf_counter() - began) / self.feed.order.steps_per_epoch
        end = self._seconds_to_judge() + _WRITING
        state.total_steps = int(_CAREFUL * (recipe.budget - clock() - end) / cost)
        state.decisions |= {"seconds_per_step": round(cost, 5), "total_steps": state.total_steps}
        state.decisions["until"] = round(recipe.budget - end, 2)
        if state.total_steps >= 1:
            return
        if not beginning.decisions:
            raise BudgetError(
                f"the budget of {recipe.budget:g} s is spent before the first step: {clock():.1f} s on reading, and "
                f"{end:.1f} s are kept back for judging and writing",
                hint="give it more time; what was read is in the cache",
            )
        state.ended, state.total_steps = "the budget is spent: only the classifier is learnt", 0

    def keep_pace(self, state: State, steps: int, seconds: float, now: float) -> bool:
        """Plan fewer steps where ``steps`` so far, of so many ``seconds``, say that the budget would not be kept.

        Only once they are a twentieth of the time: a few steps with an epoch's look among them say little. The schedule
        then falls faster, and still to its end. Gives whether it has changed the plan, which is part of the state.
        ``now`` is what the run has used so far.
        """
        until = state.decisions.get("until")
        if until is None or state.ended or not steps or seconds < _TELLING * until:
            return False
        possible = state.step + max(1, int((until - now) * steps / seconds))
        if possible > _LATE * state.total_steps:
            return False
        state.total_steps = possible
        state.decisions["total_steps"] = possible
        return True

    def _seconds_to_judge(self) -> float:
        """How long the whole model will take for the validation images at the end, in fp32 on the processor."""
        module, images = self.feed.trial()
        module.eval()
        with torch.inference_mode():
            module(images)
            began = time.perf_counter()
            self.task.keep(module(images))
        each = (time.perf_counter() - began) / len(images)
        return each * self.feed.validation_images * (1 + (1 + _VIEWS) * self.recipe.second_look)

    def resume(self, path: Path, voice: Voice) -> State:
        """The state that was saved at ``path``, with this learner as it was then. Raises ModelError."""
        self.engine = Engine.of(read_decisions(path))
        state = self.blank()
        load_state(path, state)
        self.feed.prepare(self.engine, voice)
        return state

    def step(self, state: State) -> Step:
        """One batch forward and back; after an epoch's last, a look at validation. The state is whole again after it.

        Raises UsageError for a loss that is not finite, before the weights are touched.
        """
        began = time.perf_counter()
        rate = state.decisions["lr"] * self.schedule(state.step / state.total_steps)
        batch = self.feed.batch(state.step, state.step / state.total_steps)
        state.waited += time.perf_counter() - began
        loss = self.descend(state, batch, rate)
        self._average(state)
        state.step += 1
        last = state.step == state.total_steps
        figures = None
        if last or state.step % self.feed.order.steps_per_epoch == 0:
            figures = self.look(state)
            figures |= {"epoch": math.ceil(state.step / self.feed.order.steps_per_epoch), "loss": loss, "lr": rate}
            state.history.append(figures)
            self._mark_best(state)
        if last:
            state.ended = "all steps done"
        state.seconds += time.perf_counter() - began
        return Step(step=state.step, total=state.total_steps, loss=loss, figures=figures)

    def descend(self, state: State, batch: Batch[Tensor], rate: float) -> float:
        """One step down the gradient at learning rate ``rate``; gives the loss."""
        model = state.model.train()
        reseed(self.recipe.seed, "dropout", state.step)
        with self.engine.autocast():
            loss = self.task.loss(self.feed.balance.shifted(model), self._placed(batch)).total
        if self.recipe.l1:
            loss = loss + self.recipe.l1 * sum(p.abs().sum() for p in model.parameters() if p.ndim > 1)
        value = float(loss.detach())
        if not math.isfinite(value):
            raise UsageError(
                f"the loss became {value} at step {state.step + 1} of {state.total_steps}, learning rate {rate:.2g}",
                hint="train again with a lower --lr, or with --lr auto; the last good state is kept",
            )
        state.optimiser.forget_gradients()
        loss.backward()  # type: ignore[no-untyped-call]
        state.optimiser.set_rate(rate)
        state.optimiser.step()
        return value

    def look(self, state: State) -> dict[str, float]:
        """What the averaged weights give for held-out images: the monitored figure, and what else is known."""
        model, parts = state.model.eval(), []
        with torch.no_grad(), self.engine.autocast():
            for inputs in self.feed.held_out():
                ready = self.engine.images(inputs)
                kept = self.task.keep(functional_call(model, dict(state.averaged), (ready,)))
                parts.append({name: value.cpu() for name, value in kept.items()})
        every = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
        found = self.task.look(every, self.feed.validation_targets)
        return {f"validation_{name}": value for name, value in found.items()}

    def _mark_best(self, state: State) -> None:
        patience = self.recipe.patience
        if not patience:
            return
        name, sense = self.task.monitor
        values = [row[f"validation_{name}"] for row in state.history]
        best = values.index(max(values) if sense == "max" else min(values))
        if best == len(values) - 1:
            state.best = {k: v.clone() for k, v in state.averaged.items()}
            state.best_epoch = best
        elif len(values) - 1 - best >= patience:
            state.ended = f"no better {name} on validation for {patience} epochs"

    def _average(self, state: State) -> None:
        decay = min(self.recipe.ema, (state.step + 1) / (state.step + 10)) if self.recipe.ema else 0.0
        live = state.model.state_dict()
        floats = [k for k, v in live.items() if v.is_floating_point()]
        with torch.no_grad():
            torch._foreach_lerp_([state.averaged[k] for k in floats], [live[k] for k in floats], 1 - decay)
            for name, value in live.items():
                if not value.is_floating_point():
                    state.averaged[name].copy_(value)

    def _placed(self, batch: Batch[Tensor]) -> Batch[Tensor]:
        device = self.engine.device
        return replace(
            batch,
            inputs={name: self.engine.images(value) for name, value in batch.inputs.items()},
            targets=None if batch.targets is None else batch.targets.to(device),
            weights=None if batch.weights is None else batch.weights.to(device),
        )

    def _copy(self, state: State) -> State:
        model = copy.deepcopy(state.model)
        return State(
            model=model,
            averaged={k: v.clone() for k, v in state.averaged.items()},
            optimiser=OPTIMISERS[self.recipe.optimiser](model, self.recipe.weight_decay, self.recipe.lr_decay),
            total_steps=state.total_steps,
            decisions=dict(state.decisions),
        )

    def _rehearse(self, trial: State, index: int) -> None:
        self.descend(trial, self.feed.batch(index), 1e-6)
        self._average(trial)
