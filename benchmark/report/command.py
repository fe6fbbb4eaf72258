"""What the verb report does."""

from pathlib import Path

from rich.console import Console

from wsss.benchmark.errors import UsageError
from wsss.benchmark.names import is_safe
from wsss.benchmark.records import COMMITTED
from wsss.benchmark.report import readme, standing
from wsss.benchmark.report.build import build, check, summary_text
from wsss.benchmark.report.results import Results


def make_report(console: Console, name: str, results: Path, only_check: bool) -> int:
    """Rebuild a report if it does not stand, or with ``check`` compare what is there with what would be written."""
    if not is_safe(name):
        raise UsageError(f"{name!r} cannot be the name of a suite; `wsss list` shows those there are")
    folder, committed = results / name, COMMITTED / name
    if committed.resolve() == folder.resolve() or not (committed / "plan.json").is_file():
        committed = None
    if only_check:
        differing = check(folder, committed)
        for path in differing:
            console.print(f"{folder / path} is not what `wsss report` would write", markup=False, highlight=False)
        if not differing:
            console.print(f"{folder}: everything regenerates byte for byte", markup=False, highlight=False)
        return 1 if differing else 0
    summary = standing.summary(folder, committed)
    if summary is None:
        read = Results(folder)
        build(read, committed)
        summary = summary_text(read)
        standing.remember(folder, committed, summary)
    console.print(summary, markup=False, highlight=False)
    console.print(f"\npage: {folder / 'index.html'}", markup=False, highlight=False)
    return 0


def make_readme(console: Console, page: Path, results: Path, only_check: bool) -> int:
    """Fill the tables and figures between the markers of a page, or with ``check`` compare them."""
    same = readme.update(page, results, only_check)
    if only_check and not same:
        console.print(f"{page} is not what `wsss report --readme {page}` would write", markup=False, highlight=False)
        return 1
    news = "is as the results have it" if same else "now is as the results have it"
    console.print(f"{page} {news}", markup=False, highlight=False)
    return 0
