"""What the page's chart shows: every loss term of every method against progress."""

from typing import Any

import numpy as np
from jaxtyping import Float64

from wsss.benchmark.report.curve import GRID
from wsss.benchmark.report.results import Results
from wsss.benchmark.report.style import colors

EVERY = 2
"""Of the grid of progress every second value is enough for a chart."""


def curves(results: Results) -> list[dict[str, Any]]:
    """By dataset and kind of labels: the terms, and of each the mean over seeds and the seeds' lowest and highest.

    Raises:
        BenchmarkError: A stored curve is damaged.
    """
    palette = colors(list(results.plan.methods))
    found = []
    for column in results.columns:
        terms: dict[str, list[dict[str, Any]]] = {}
        for name in results.plan.methods:
            seeds = [run.curve for run in results.done(column, name).values()]
            for term in dict.fromkeys(term for curve in seeds for term in curve):
                lines = np.stack([curve[term][::EVERY] for curve in seeds if term in curve])
                line = {"method": results.method_title(name), "color": palette[name], "mean": _plain(lines.mean(0))}
                if len(lines) > 1:
                    line |= {"low": _plain(lines.min(0)), "high": _plain(lines.max(0)), "seeds": len(lines)}
                terms.setdefault(term, []).append(line)
        if terms:
            ordered = sorted(terms, key=lambda term: (term != "total", -len(terms[term]), term))
            found.append(
                {"title": results.title(column), "terms": [{"name": term, "lines": terms[term]} for term in ordered]}
            )
    return found


def progress() -> list[float]:
    """Where the lines have their values, in [0, 1]."""
    return [float(value) for value in GRID[::EVERY].round(4)]


def _plain(line: Float64[np.ndarray, " n"]) -> list[float | None]:
    """Four digits: more are not seen, and would be most of the page."""
    return [float(f"{value:.4g}") if np.isfinite(value) else None for value in line]
