"""Work that one of two processes does not survive; it imports little, since every process starts anew."""

import os
import signal

import torch

from wsss.benchmark import distributed
from wsss.benchmark.errors import DatasetError


def raises(tell) -> None:
    """One rank fails while the other waits for it."""
    if distributed.rank() == 1:
        raise DatasetError("picture 7 is damaged")
    distributed.total_of(torch.zeros(1))


def dies(tell) -> None:
    """One rank is killed while the other waits for it."""
    if distributed.rank() == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    distributed.total_of(torch.zeros(1))
