"""Tables, figures and the page, rebuilt from stored results: no GPU, no data, no torch, and always the same bytes."""

from wsss.benchmark.report.build import build, check, summary_text

__all__ = ["build", "check", "summary_text"]
