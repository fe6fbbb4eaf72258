"""On what a run is executed: which devices, in which numbers, and what of that a record tells."""

import os
from typing import Any

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from lightning_fabric.strategies.ddp import DDPStrategy

from wsss.benchmark import distributed
from wsss.benchmark.errors import UsageError
from wsss.benchmark.trainer import Runtime


def check_devices(runtime: Runtime, batch: int) -> None:
    """Whether a run can be executed so.

    Raises:
        UsageError: The machine has fewer devices, of a kind that can work together, or they cannot share the batch; or
            two options exclude each other.
    """
    devices = runtime.devices
    if devices < 1:
        raise UsageError(f"--devices must be positive, not {devices}")
    if runtime.compile and runtime.checkpointing:  # torch compiles no checkpoint that keeps running statistics
        raise UsageError("--compile and --checkpointing exclude each other: choose one of them")
    if devices == 1:
        return
    kind = _kind(runtime.device)
    if kind not in ("cpu", "cuda"):
        raise UsageError(f"--devices {devices} needs --device cpu or cuda: there are no several of {kind}")
    if kind == "cuda" and torch.cuda.device_count() < devices:
        raise UsageError(f"--devices {devices}: this machine shows {torch.cuda.device_count()} GPUs; choose fewer")
    distributed.check_divides(batch, devices)


def _kind(device: str) -> str:
    found = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    return device if device != "auto" else "cpu" if found is None else found.type


def fabric_of(runtime: Runtime, precision: Any) -> Fabric:
    """The Fabric of this process, which may be one of several."""
    devices = distributed.world()
    # A method may leave out a term, and with it a network, in some steps; who did not would wait for its gradients.
    several = DDPStrategy(find_unused_parameters=True)
    fabric = Fabric(
        accelerator=runtime.device,
        devices=devices,
        strategy="auto" if devices == 1 else several,
        precision=precision,
        plugins=[LightningEnvironment()],  # not that of a SLURM job, whose tasks are the launcher's
    )
    if devices > 1:
        fabric.launch()
    return fabric


def threads_of_rank(runtime: Runtime) -> int:
    """CPU threads of one process of the run; 0 leaves torch's choice."""
    if runtime.devices == 1:
        return runtime.threads
    return max(1, (runtime.threads or os.cpu_count() or 1) // runtime.devices)


def name_of(device: torch.device) -> str:
    """What a record calls a device."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def facts_of(runtime: Runtime, fabric: Fabric) -> dict[str, Any]:
    """What of the execution changes arithmetic or speed, for a record's provenance."""
    return {
        "devices": distributed.world(),
        "workers": runtime.workers,
        "compile": runtime.compile,
        "checkpointing": runtime.checkpointing,
        "channels_last": True,
        "pinned": fabric.device.type == "cuda",
    }
