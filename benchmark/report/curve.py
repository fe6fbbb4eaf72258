"""A run's training curve, smoothed and read off at places that all runs share."""

import io
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float64

from wsss.benchmark.errors import BenchmarkError

NOT_A_CURVE = ("step", "progress", "seconds")
"""Columns of curve.csv that are not drawn."""
GRID = np.linspace(0, 1, 201)
"""Progress at which the curves of several seeds are averaged."""
SMOOTHING = 0.03
"""Width of the moving average as a share of the run."""


def read_curve(run: Path) -> dict[str, Float64[np.ndarray, " grid"]]:
    """Every loss term of a run, smoothed over 3 % of it and read off at the common grid of progress.

    Raises:
        BenchmarkError: ``curve.csv`` is missing or not what the store describes.
    """
    path = run / "curve.csv"
    try:
        table = pd.read_csv(io.StringIO(path.read_text("utf-8")))
        progress = table["progress"].to_numpy(float)
        window = max(1, round(SMOOTHING * len(table)))
        lines = table.drop(columns=[name for name in NOT_A_CURVE if name in table]).astype(float)
        smooth = pd.DataFrame(lines.rolling(window, center=True, min_periods=1).mean())
        terms = {}
        for name in smooth.columns:
            values = np.asarray(smooth[name], dtype=np.float64)
            known = np.isfinite(values)
            if known.any():
                terms[name] = np.interp(GRID, progress[known], values[known], left=np.nan, right=np.nan)
    except (OSError, ValueError, KeyError) as error:
        raise BenchmarkError(f"{path}: not a curve file ({error}); delete {run} and rerun") from error
    return terms
