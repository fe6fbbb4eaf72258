"""One readable loop: batches in, a trained method out, a checkpoint and a curve on the way."""

import csv
import io
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pickle import UnpicklingError
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor

from wsss.benchmark import distributed
from wsss.benchmark.atomic import replacing, write_text
from wsss.benchmark.errors import BenchmarkError
from wsss.benchmark.loader import TrainingSet, batches
from wsss.benchmark.method import Method
from wsss.benchmark.networks.economy import compiled, recompute
from wsss.benchmark.networks.shared_norm import share_statistics
from wsss.benchmark.randomness import seed_of
from wsss.benchmark.records import RunFolder
from wsss.benchmark.spec import RunSpec, TrainConfig

OnStep = Callable[[int, int, Mapping[str, float]], None]
"""Told (step, steps, mean losses of the last interval) at every interval of the curve."""


class NonFiniteLoss(BenchmarkError):
    """A loss term became NaN or infinite at ``step``."""

    def __init__(self, names: list[str], step: int) -> None:
        self.names, self.step = names, step
        super().__init__(
            f"loss term {', '.join(names) or 'total'} is not finite at step {step}: lower --train.lr or "
            f"--train.clip, or use --train.precision 32-true; the last checkpoint is kept"
        )

    def __reduce__(self) -> tuple[type, tuple[list[str], int]]:  # else it could not leave its process
        return type(self), (self.names, self.step)


@dataclass(frozen=True, kw_only=True)
class Runtime:
    """How a run is executed. Nothing here changes a score by more than a stated tolerance (docs/decisions), so nothing
    here is in the fingerprint; a record's provenance tells what changes arithmetic.
    """

    device: str = "auto"
    """cpu, cuda, mps, or auto for the best there is."""
    devices: int = 1
    """GPUs, or CPU processes, that share every batch of the run."""
    workers: int = 0
    """Loader processes beside each training process."""
    threads: int = 0
    """CPU threads of the run; 0 leaves torch's choice."""
    compile: bool = False
    """Train the image networks through torch.compile."""
    checkpointing: bool = False
    """Compute activations twice instead of keeping them: less memory, more time."""
    tensorboard: bool = False
    """Write the curve and the sample frames for TensorBoard too."""
    checkpoint_seconds: float = 20.0
    """Least time between two checkpoints."""


@dataclass(kw_only=True)
class _State:
    """What a checkpoint holds beside the weights, and the losses since the last row of the curve."""

    step: int = 0
    seconds: float = 0.0
    curve: list[dict[str, int | float]] = field(default_factory=list)
    losses: dict[str, list[Tensor]] = field(default_factory=dict)
    """On the device, so that a step need not wait for their values."""

    def close(self, step: int, steps: int, lr: float) -> dict[str, float]:
        """Add a row to the curve: the mean of every term since the row before, which is returned too."""
        means = {name: _mean(values) for name, values in self.losses.items()}
        self.curve.append({"step": step, "progress": step / steps, "lr": lr, **means})
        self.step, self.losses = step, {}
        return means


def train(
    method: Method,
    training: TrainingSet,
    spec: RunSpec,
    folder: RunFolder,
    fabric: Fabric,
    runtime: Runtime,
    on_step: OnStep,
) -> dict[str, float]:
    """Train ``method`` in place, from the folder's checkpoint if there is one.

    A run that was interrupted and goes on gives, on a CPU, bitwise the weights of one that was not: every random draw
    is a function of the seed, the step and the rank. Each rank is called alike, and rank 0 alone writes.

    Returns:
        Seconds of training in all, and images per second.

    Raises:
        NonFiniteLoss: The text names the term and the step.
    """
    config, steps = spec.train, spec.train.steps
    _prepare(method, runtime, fabric)
    optimiser = _optimiser(method, config)
    bases = [group["lr"] for group in optimiser.param_groups]
    state = _resume(folder, method, optimiser, fabric)
    plain, (module, optimiser) = optimiser, fabric.setup(method, optimiser)
    module.mark_forward_method("losses")

    interval = max(1, steps // 200)
    saved = begun = time.monotonic()
    module.train()
    ahead = batches(training, config, spec.seed, state.step, runtime.workers, fabric.device.type == "cuda")
    with compiled(method, fabric.device, runtime.compile):
        for step, batch in enumerate(ahead, state.step):
            _seed_step(spec.seed, step)
            for group, base in zip(optimiser.param_groups, bases, strict=True):
                group["lr"] = base * lr_factor(config, step)
            terms = dict(module.losses(batch.to(fabric.device), step / steps))
            loss = torch.stack([term.float() for term in terms.values()]).sum()
            if not bool(torch.isfinite(loss)):
                _write_curve(folder, state)  # up to here; the last checkpoint's may end long before
                raise NonFiniteLoss([name for name, term in terms.items() if not bool(torch.isfinite(term))], step)
            optimiser.zero_grad()
            fabric.backward(loss)
            if config.clip:
                _clip(fabric, plain, config.clip)
            optimiser.step()
            method.after_step(step + 1)

            for name, value in {**terms, "total": loss}.items():
                state.losses.setdefault(name, []).append(value.detach())
            last = step + 1 == steps
            if last or (step + 1) % interval == 0:
                on_step(step + 1, steps, state.close(step + 1, steps, optimiser.param_groups[0]["lr"]))
                now = time.monotonic()
                if last or now - saved >= runtime.checkpoint_seconds:
                    state.seconds, begun, saved = state.seconds + now - begun, now, now
                    _save(folder, method, optimiser, state)
    return {"train": state.seconds, "images_per_second": steps * config.batch / max(state.seconds, 1e-9)}


def _seed_step(seed: int, step: int) -> None:
    """Seed dropout and whatever else a method draws; what rank 0 draws is what a single process does."""
    others = ("rank", distributed.rank()) if distributed.rank() else ()
    torch.manual_seed(seed_of(seed, "step", step, *others))


def _mean(values: list[Tensor]) -> float:
    """The mean over steps, and over the ranks' shares of each."""
    if distributed.world() > 1:
        values = list(distributed.mean_of(torch.stack(values)))
    return sum(map(float, values)) / len(values)


def _prepare(method: Method, runtime: Runtime, fabric: Fabric) -> None:
    """Change how the networks are computed as the run is executed."""
    if distributed.world() > 1:
        share_statistics(method, fabric.device)
    if runtime.checkpointing:
        recompute(method)


def _optimiser(method: Method, config: TrainConfig) -> torch.optim.AdamW:
    """AdamW in one kernel; with fp16 in several, as a fused one would unscale gradients itself, after the clipping."""
    groups, fused = method.parameter_groups(config.lr), config.precision != "16-mixed"
    return torch.optim.AdamW(groups, lr=config.lr, weight_decay=config.weight_decay, fused=fused)


def lr_factor(config: TrainConfig, step: int) -> float:
    """Share of the peak learning rate at a step: a rise over ``warmup``, then cosine (onecycle) or poly decay."""
    warm = config.warmup * config.steps
    if step < warm:
        return 0.1 + 0.9 * step / warm
    remaining = 1 - (step - warm) / max(1.0, config.steps - warm)
    if config.schedule == "poly":
        return remaining**config.power
    return 0.01 + 0.99 * 0.5 * (1 - math.cos(math.pi * remaining))


def _clip(fabric: Fabric, optimiser: torch.optim.Optimizer, largest: float) -> None:
    """Bound the gradient norm of every group by itself: networks that share no weight must not slow each other."""
    fabric.strategy.precision.unscale_gradients(optimiser)
    for group in optimiser.param_groups:
        torch.nn.utils.clip_grad_norm_(group["params"], largest)


def _write_curve(folder: RunFolder, state: _State) -> None:
    """Write the curve as it stands. Rank 0 does it for all."""
    if distributed.rank():
        return
    columns = sorted({name for row in state.curve for name in row} - {"step", "progress", "lr", "total"})
    text = io.StringIO()
    writer = csv.DictWriter(text, ["step", "progress", "lr", *columns, "total"], restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows({k: v if k == "step" else f"{v:.6g}" for k, v in row.items()} for row in state.curve)
    write_text(folder.curve, text.getvalue())


def _save(folder: RunFolder, method: Method, optimiser: Any, state: _State) -> None:
    """Write curve and checkpoint, the checkpoint last: it alone says how far the run is. Rank 0 does it for all."""
    if distributed.rank():
        return
    _write_curve(folder, state)
    checkpoint = {
        "method": method.state_dict(),
        "optimiser": optimiser.state_dict(),
        "state": {"step": state.step, "seconds": state.seconds, "curve": state.curve},
    }
    buffer = io.BytesIO()  # torch would tell of a full disk in its own words
    torch.save(checkpoint, buffer)
    with replacing(folder.checkpoint) as temporary:
        temporary.write_bytes(buffer.getbuffer())


def _resume(folder: RunFolder, method: Method, optimiser: torch.optim.Optimizer, fabric: Fabric) -> _State:
    if not folder.checkpoint.is_file():
        return _State()
    try:
        checkpoint = torch.load(folder.checkpoint, map_location="cpu", weights_only=True)
        method.load_state_dict(checkpoint["method"])
        optimiser.load_state_dict(checkpoint["optimiser"])
        state = checkpoint["state"]
    except (OSError, EOFError, RuntimeError, KeyError, TypeError, ValueError, UnpicklingError) as error:
        raise BenchmarkError(
            f"{folder.checkpoint} is damaged ({type(error).__name__}); delete it and the run starts anew"
        ) from error
    return _State(**state)
