"""The most memory that a run takes: of the GPU if there is one, else of its process."""

import re
import resource
import sys
from pathlib import Path

import torch

PROCESS = Path("/proc/self")
"""Where Linux tells of the process, and lets it forget its peak."""


def forget_peak(device: torch.device) -> bool:
    """Begin to measure anew, because a process that executes one run after another keeps its largest peak.

    Returns:
        Whether the peak was forgotten; where the system cannot, later ones are those of the whole process.
    """
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return True
    try:
        (PROCESS / "clear_refs").write_text("5")  # proc(5): sets the peak of the resident set to its present size
    except OSError:
        return False
    return True


def peak_mb(device: torch.device) -> float:
    """Most memory in use since ``forget_peak``, MiB."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    status = PROCESS / "status"
    if status.is_file() and (found := re.search(r"^VmHWM:\s+(\d+) kB$", status.read_text(), re.M)):
        return int(found[1]) / 2**10
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # bytes on macOS, else KiB
    return peak / (2**20 if sys.platform == "darwin" else 2**10)
