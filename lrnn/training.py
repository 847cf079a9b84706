"""A training loop for the modules of `lrnn.bptt`, or any torch module, that can stop and go on.

It draws a batch, takes the gradient of a loss, clips it and lets an optimiser step; it validates,
keeps the best weights, stops early, writes checkpoints and continues from them to the same numbers.
"""

import contextlib
import math
import os
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from lrnn._check import positive, whole
from lrnn.bptt import masked_mse

OPTIMIZERS = ("adam", "sgd")
SCHEDULES = {
    "constant": lambda done: 1.0,
    "linear": lambda done: 1.0 - done,
    "cosine": lambda done: 0.5 + 0.5 * math.cos(math.pi * done),
}


class History(NamedTuple):
    """What a run was like; K steps were taken and V validations made.

    loss : (K,), loss of each batch, and its penalty, before the step that it led to
    grad_norm : (K,), Euclidean norm of the gradient over all parameters, before clipping
    rate : (K,), learning rate
    seconds : (K,), time since the start, continued over interruptions
    validation : (V,), loss on the validation data
    validated_at : (V,) int, how many steps had been taken
    best : float, least validation loss, or least batch loss without validation; inf before any
    best_step : int, how many steps had been taken when it was seen; -1 before any
    stopped : "steps", or "patience" if it stopped early, or "diverged"
    """

    loss: np.ndarray
    grad_norm: np.ndarray
    rate: np.ndarray
    seconds: np.ndarray
    validation: np.ndarray
    validated_at: np.ndarray
    best: float
    best_step: int
    stopped: str


class TrainingDivergedError(ArithmeticError):
    """A loss or gradient is not finite. The module is left with the last weights that were good.

    step : int, how many steps had been taken
    history : History of these
    state : state_dict of the module at its last finite loss and gradient
    """

    def __init__(self, what, step, history, state):
        super().__init__(
            f"the {what} is not finite after {step} steps; try a smaller rate, or clip the gradient"
        )
        self.step, self.history, self.state = step, history, state


def trial_loss(model, trials):
    """`masked_mse` between the module's output and the targets of `lrnn.tasks.Trials`.

    The module's output at t = 0, which no target belongs to, is left out. Trials whose `condition`
    has a "state0" (B, N) start there.
    """
    y = model(trials.inputs, trials.condition.get("state0"))
    return masked_mse(y[:, 1:], trials.targets, trials.scored)


def train(
    model,
    batches,
    *,
    steps,
    rate,
    rng,
    loss=trial_loss,
    penalty=None,
    batch_size=None,
    optimizer="adam",
    schedule="constant",
    warmup=0,
    clip=None,
    validation=None,
    validate_every=50,
    patience=None,
    restore_best=False,
    checkpoint=None,
    checkpoint_every=100,
    resume=False,
    progress=False,
):
    """Train a module in place.

    model : torch module; its parameters with requires_grad are trained
    batches : `lrnn.tasks.Trials` to draw from, or a function rng -> batch called before each step,
        where a batch is whatever `loss` takes
    steps : int, steps of the optimiser in all, those before an interruption included
    rate : float, learning rate, > 0
    rng : numpy Generator that batches are drawn with; None if nothing is drawn
    loss : function (model, batch) -> scalar tensor
    penalty : function (model, share of steps done, in [0, 1)) -> scalar tensor that is added to the
        loss of a batch but not to that of the validation data; see `lrnn.penalties.weighted`
    batch_size : int, trials a step, drawn without repetition; None for all at each step
    optimizer : "adam" or "sgd", or a function (parameters, lr=rate) -> torch optimiser
    schedule : "constant", "linear" or "cosine" (both to zero at the end), or a function of the
        share of steps done, in [0, 1), -> factor on the rate
    warmup : int, steps over which the rate rises linearly to where the schedule has it
    clip : float, greatest norm of the gradient, > 0; None for no limit
    validation : a batch, on which the loss is taken every `validate_every` steps and at the end
    patience : int, validations without a new best after which to stop; None to go on
    restore_best : bool, leave the module with the best weights, not the last
    checkpoint : path of a file that is written every `checkpoint_every` steps and at the end; it
        holds weights, optimiser, random state and history, and loads with weights_only=True
    resume : bool, go on from that file if it is there. With the same arguments the numbers are
        those of a run that was never interrupted, times apart.
    progress : bool, show a progress bar (needs rich)
    Returns : History
    Raises : ValueError for an argument out of range; TrainingDivergedError
    """
    draw = _draw(model, batches, batch_size, rng)
    run = _Run(model, steps, rate, rng, optimizer, schedule, warmup, clip)
    whole("validate_every", validate_every)
    whole("checkpoint_every", checkpoint_every)
    if patience is not None:
        whole("patience", patience)
        if validation is None:
            raise ValueError("patience counts validations: give validation data")
    if resume and checkpoint is None:
        raise ValueError("resume needs the path of a checkpoint")
    if validation is not None and hasattr(validation, "scored"):
        validation = _tensors(model, validation)
    path = None if checkpoint is None else Path(checkpoint)
    if resume and path.exists():
        run.load(torch.load(path, weights_only=True))

    def objective(model, batch):
        value = loss(model, batch)
        return value if penalty is None else value + penalty(model, run.taken / steps)

    with _bar(progress, steps) as advance:
        while not run.over(patience):
            if validation is not None and run.taken % validate_every == 0:
                run.validate(loss, validation)
                if run.over(patience):
                    break
            run.take(draw, objective, best_of_batches=validation is None)
            advance(run.taken, run.columns["loss"][-1])
            if path is not None and run.taken % checkpoint_every == 0:
                run.save(path)
        if validation is not None:
            run.validate(loss, validation)
    if path is not None:
        run.save(path)
    if restore_best and run.best_state is not None:
        model.load_state_dict(run.best_state)
    return run.history("patience" if run.out_of_patience(patience) else "steps")


class _Run:
    """The state of a training run: all that a checkpoint holds."""

    def __init__(self, model, steps, rate, rng, optimizer, schedule, warmup, clip):
        self.model, self.rng = model, rng
        self.parameters = [p for p in model.parameters() if p.requires_grad]
        if not self.parameters:
            raise ValueError("model has no parameter to train")
        self.steps = whole("steps", steps)
        self.rate, self.warmup = positive("rate", rate), whole("warmup", warmup, 0)
        self.clip = None if clip is None else positive("clip", clip)
        self.optimizer = _optimizer(optimizer, self.parameters, self.rate)
        if not callable(schedule) and schedule not in SCHEDULES:
            raise ValueError(
                f"schedule must be one of {', '.join(SCHEDULES)} or a function, got {schedule!r}"
            )
        self.schedule = schedule if callable(schedule) else SCHEDULES[schedule]
        self.columns = {name: [] for name in History._fields[:6]}
        self.best, self.best_step, self.best_state = math.inf, -1, None
        self.good = _copy(model)
        self.before = time.perf_counter()

    @property
    def taken(self):
        return len(self.columns["rate"])

    def out_of_patience(self, patience):
        late = [at for at in self.columns["validated_at"] if at > self.best_step]
        return patience is not None and len(late) >= patience

    def over(self, patience):
        return self.taken >= self.steps or self.out_of_patience(patience)

    def validate(self, loss, batch):
        if self.columns["validated_at"][-1:] == [self.taken]:
            return
        with torch.no_grad():
            value = float(loss(self.model, batch))
        if not math.isfinite(value):
            self._diverged("validation loss")
        self.columns["validation"].append(value)
        self.columns["validated_at"].append(self.taken)
        self._note(value)

    def take(self, draw, loss, best_of_batches):
        """One step of the optimiser."""
        batch = draw()
        self.optimizer.zero_grad()
        value = loss(self.model, batch)
        if not torch.isfinite(value):
            self._diverged("loss")
        value.backward()
        gradients = [p.grad for p in self.parameters if p.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients)
        size = float(norm)
        if not math.isfinite(size):
            self._diverged("gradient")
        if best_of_batches:
            self._note(float(value.detach()))
        _store(self.model, self.good)
        if self.clip is not None:
            torch.nn.utils.clip_grads_with_norm_(self.parameters, self.clip, norm)
        rate = self.rate * self.schedule(self.taken / self.steps)
        rate *= min(1.0, (self.taken + 1) / (self.warmup + 1))
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        row = (float(value.detach()), size, rate, time.perf_counter() - self.before)
        for name, entry in zip(("loss", "grad_norm", "rate", "seconds"), row, strict=True):
            self.columns[name].append(entry)

    def history(self, stopped):
        counts = {"validated_at": int}
        arrays = {
            name: np.array(column, dtype=counts.get(name, float))
            for name, column in self.columns.items()
        }
        return History(**arrays, best=self.best, best_step=self.best_step, stopped=stopped)

    def save(self, path):
        """Write a checkpoint; a reader sees the old file or the new one, never a part."""
        state = {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "rng": None if self.rng is None else self.rng.bit_generator.state,
            "columns": self.columns,
            "best": [self.best, self.best_step, self.best_state],
            "steps": self.steps,
        }
        partial = path.with_name(path.name + ".partial")
        torch.save(state, partial)
        os.replace(partial, path)

    def load(self, state):
        if state["steps"] != self.steps:
            raise ValueError(
                f"steps must be those of the checkpoint, {state['steps']}, got {self.steps}"
            )
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.rng is not None and state["rng"] is not None:
            self.rng.bit_generator.state = state["rng"]
        self.columns = state["columns"]
        self.best, self.best_step, self.best_state = state["best"]
        self.good = _copy(self.model)
        self.before = time.perf_counter() - (self.columns["seconds"] or [0.0])[-1]

    def _note(self, value):
        if value < self.best:
            self.best, self.best_step = value, self.taken
            if self.best_state is None:
                self.best_state = _copy(self.model)
            else:
                _store(self.model, self.best_state)

    def _diverged(self, what):
        self.model.load_state_dict(self.good)
        raise TrainingDivergedError(what, self.taken, self.history("diverged"), self.good)


def _copy(model):
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


def _store(model, state):
    for name, value in model.state_dict().items():
        state[name].copy_(value.detach())


def _optimizer(optimizer, parameters, rate):
    if callable(optimizer):
        return optimizer(parameters, lr=rate)
    if optimizer == "adam":
        return torch.optim.Adam(parameters, lr=rate, fused=True)
    if optimizer == "sgd":
        return torch.optim.SGD(parameters, lr=rate)
    raise ValueError(
        f"optimizer must be one of {', '.join(OPTIMIZERS)} or a function, got {optimizer!r}"
    )


def _draw(model, batches, batch_size, rng):
    """A function without arguments that makes the next batch."""
    if callable(batches):
        if batch_size is not None:
            raise ValueError("batch_size is for Trials: a function makes its own batches")
        return lambda: batches(rng)
    trials = _tensors(model, batches)
    if batch_size is None:
        return lambda: trials
    if rng is None:
        raise ValueError("rng must be given to draw batches")
    B = len(trials.inputs)
    if whole("batch_size", batch_size) > B:
        raise ValueError(f"batch_size must be at most the {B} trials, got {batch_size}")

    def some():
        index = torch.from_numpy(rng.permutation(B)[:batch_size])
        condition = {name: torch.as_tensor(v)[index] for name, v in trials.condition.items()}
        return trials._replace(
            inputs=trials.inputs[index],
            targets=trials.targets[index],
            scored=trials.scored[index],
            condition=condition,
        )

    return some


def _tensors(model, trials):
    """The same trials as tensors of the module's precision, on its device."""
    like = next(model.parameters())

    def real(array):
        return torch.as_tensor(array).to(like.device, like.dtype)

    return trials._replace(
        inputs=real(trials.inputs),
        targets=real(trials.targets),
        scored=torch.as_tensor(trials.scored).to(like.device),
    )


@contextlib.contextmanager
def _bar(shown, steps):
    """A function (steps taken, loss) that moves a progress bar, or does nothing."""
    if not shown:
        yield lambda taken, loss: None
        return
    from rich.progress import Progress

    with Progress() as bar:
        task = bar.add_task("training", total=steps)
        yield lambda taken, loss: bar.update(task, completed=taken, description=f"loss {loss:.3g}")
