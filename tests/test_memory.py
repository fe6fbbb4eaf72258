"""A run's peak is its own, and not that of the run before it in the same process."""

import numpy as np
import pytest
import torch

from wsss.benchmark import memory

CPU = torch.device("cpu")


def test_a_peak_is_seen_and_then_forgotten():
    if not memory.forget_peak(CPU):
        pytest.skip("this system cannot forget a peak")
    before = memory.peak_mb(CPU)
    large = np.ones(400 * 2**20, np.uint8)
    during = memory.peak_mb(CPU)
    assert during > before + 350
    del large
    assert memory.peak_mb(CPU) > before + 350, "it stays when the memory is given back"
    memory.forget_peak(CPU)
    assert memory.peak_mb(CPU) < during - 350


def test_a_system_that_cannot_forget_says_so_and_still_measures(monkeypatch, tmp_path):
    monkeypatch.setattr(memory, "PROCESS", tmp_path / "absent")
    assert not memory.forget_peak(CPU)
    assert memory.peak_mb(CPU) > 10
