"""From bootstrap draws to an interval and a p-value that hold with few scenes and few seeds.

Two things are drawn: the seeds of training, then the scenes that are scored. Scenes are crossed with seeds: every seed
is scored on the same scenes, so a draw takes the same ones for all of them.

The spread of bootstrap draws is too small where little is drawn from: by sqrt((n - 1) / n), and the normal quantile
that it imitates should be Student's. With three seeds and six scenes, plain percentiles of the two-level draws call a
fifth of the differences significant that are none. So the draws' shape is kept and stretched to the unbiased variance
and Student's quantile (Hesterberg, "What Teachers Should Know About the Bootstrap", 2015: expanded percentiles), with
Satterthwaite's (1946) degrees of freedom for the sum of two variances. ``docs/decisions/0005-statistics.md`` has the
measured coverage of this and of what was tried instead.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from jaxtyping import Float, Float64
from scipy.special import ndtri, stdtr, stdtrit

from wsss.benchmark.randomness import stream

DRAWS = 2000
"""Bootstrap draws."""
LEVEL = 0.95
"""Coverage of every interval."""
ALPHA = 0.05
"""Corrected p-values below it are called significant."""


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A number with its 95 % interval; NaN bounds where fewer than two scenes leave nothing to resample."""

    value: float
    low: float
    high: float
    seeds: int
    scenes: int
    p: float = float("nan")
    """Two-sided p-value of "no difference", uncorrected; NaN for anything but a comparison."""


def estimate(
    observed: Float[np.ndarray, " seeds"],
    draws: Float[np.ndarray, "seeds draws"],
    scenes: int,
    *,
    tested: bool = False,
    bounds: tuple[float, float] = (-np.inf, np.inf),
) -> Estimate:
    """The mean over seeds with its two-level interval; with one seed the interval covers scenes alone.

    Args:
        observed: Of every seed, over all scenes.
        draws: Of every seed in every draw of scenes, the same draws for all; draws without a value are NaN.
        scenes: That were drawn from and have a say in the number.
        tested: Whether it is a difference, to be tested against zero. The p-value is below 0.05 if and only if the 95 %
            interval leaves out zero.
        bounds: The interval is cut to what the number can be.
    """
    value, seeds = float(observed.mean()), len(observed)
    draws = draws[:, ~np.isnan(draws).any(axis=0)]
    if scenes < 2 or not draws.shape[1] or np.isnan(value):
        return Estimate(value=value, low=float("nan"), high=float("nan"), seeds=seeds, scenes=scenes)
    mixed = (draws * seed_weights(*draws.shape)).sum(axis=0)
    error, freedom = _error(observed, draws, scenes)
    spread = float(mixed.std())
    stretch = error / spread * stdtrit(freedom, (1 + LEVEL) / 2) / ndtri((1 + LEVEL) / 2) if spread > 0 else 0.0
    low, high = (np.quantile(mixed, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]) - value) * stretch
    low, high = min(float(low), 0.0), max(float(high), 0.0)
    p = _p(value, low, high, freedom) if tested else float("nan")
    first, last = bounds
    return Estimate(
        value=value, low=max(value + low, first), high=min(value + high, last), seeds=seeds, scenes=scenes, p=p
    )


@cache
def seed_weights(seeds: int, draws: int) -> Float64[np.ndarray, "seeds draws"]:
    """The share of every seed in every draw: seeds with replacement; a fixed sequence, the same for all methods."""
    if seeds == 1:
        return np.ones((1, draws))
    rng = stream(0, "statistics", "seed bootstrap")
    return rng.multinomial(seeds, np.full(seeds, 1 / seeds), size=draws).T / seeds


def _error(observed: np.ndarray, draws: np.ndarray, scenes: int) -> tuple[float, float]:
    """Standard error of the mean over seeds, unbiased in scenes and seeds, and its degrees of freedom.

    What a seed does on a scene is in both variances: with seeds that differ by no more than that, intervals are wide.
    """
    of_scenes = float(draws.mean(axis=0).var()) * scenes / (scenes - 1)
    seeds = len(observed)
    of_seeds = float(observed.var(ddof=1)) / seeds if seeds > 1 else 0.0
    if of_scenes + of_seeds == 0:
        return 0.0, 1.0
    shares = of_scenes**2 / (scenes - 1) + (of_seeds**2 / (seeds - 1) if seeds > 1 else 0.0)
    return (of_scenes + of_seeds) ** 0.5, (of_scenes + of_seeds) ** 2 / shares


def _p(value: float, low: float, high: float, freedom: float) -> float:
    """Student's p with the half width of the interval on zero's side as measure of the error."""
    half = -low if value > 0 else high
    if value == 0 or half == 0:
        return 1.0 if value == 0 else 0.0
    return float(2 * stdtr(freedom, -abs(value) / half * stdtrit(freedom, (1 + LEVEL) / 2)))


def corrected(family: dict[str, Estimate]) -> dict[str, Estimate]:
    """The comparisons of one family with p-values corrected by ``holm``."""
    adjusted = holm([one.p for one in family.values()])
    return {name: replace(one, p=p) for (name, one), p in zip(family.items(), adjusted, strict=True)}


def holm(p: Sequence[float]) -> list[float]:
    """Holm's (1979) step-down correction of one family of p-values; NaN stays NaN and does not count."""
    adjusted = [float("nan")] * len(p)
    tested = sorted((value, i) for i, value in enumerate(p) if not np.isnan(value))
    largest = 0.0
    for rank, (value, i) in enumerate(tested):
        largest = max(largest, min(1.0, value * (len(tested) - rank)))
        adjusted[i] = largest
    return adjusted
