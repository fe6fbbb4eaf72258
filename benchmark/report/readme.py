"""The tables and figures of README.md: what stands between two markers comes from committed results, word for word.

<!-- table SUITE -->         the rows of SUITE/tables/main.md
<!-- table SUITE/NAME -->    those of SUITE/tables/NAME.md
<!-- figure SUITE -->        the first qualitative figure of SUITE, with what its data is
<!-- figure SUITE/NAME -->   SUITE/figures/NAME.png
<!-- end -->
"""

import os
import re
from pathlib import Path

from wsss.benchmark.atomic import write_text
from wsss.benchmark.errors import BenchmarkError, UsageError
from wsss.benchmark.records import read_plan

_BLOCK = re.compile(r"^<!-- (table|figure) (\S+) -->\n(.*?)^<!-- end -->$", re.M | re.S)
_MARKER = re.compile(r"^<!-- (?:table|figure|end)\b.*?-->$", re.M)


def filled(text: str, results: Path, folder: Path) -> str:
    """The text with every block as the results have it; all else is left as it is.

    Args:
        text: Of the page.
        results: Folder of the committed results.
        folder: Of the page, which links are relative to.

    Raises:
        UsageError: A marker has no partner, or there is no block at all.
        BenchmarkError: A suite that a marker names has no report.
    """
    if not _BLOCK.search(text):
        raise UsageError("no <!-- table SUITE --> or <!-- figure SUITE --> block, closed by <!-- end -->")
    new = _BLOCK.sub(lambda block: _block(block[1], block[2], results, folder), text)
    if len(_MARKER.findall(text)) != 2 * len(_BLOCK.findall(text)):
        raise UsageError("a marker has no partner: every <!-- table SUITE --> needs an <!-- end --> before the next")
    return new


def _block(kind: str, what: str, results: Path, folder: Path) -> str:
    suite, _, name = what.partition("/")
    if kind == "table":
        body = _table(results / suite, name or "main")
    else:
        body = _figure(results / suite, name or "qualitative*", folder)
    return f"<!-- {kind} {what} -->\n{body}\n<!-- end -->"


def _table(suite: Path, name: str) -> str:
    path = suite / "tables" / f"{name}.md"
    if not path.is_file():
        raise BenchmarkError(f"{path} does not exist; write it with `wsss report --suite {suite.name}`")
    return "\n".join(line for line in path.read_text("utf-8").splitlines() if line.startswith("|"))


def _figure(suite: Path, name: str, folder: Path) -> str:
    found = sorted((suite / "figures").glob(f"{name}.png"))
    if not found:
        raise BenchmarkError(f"{suite / 'figures' / name}.png does not exist; write it with `wsss report`")
    title = read_plan(suite).title.rstrip(". ")
    return f"![{title}]({Path(os.path.relpath(found[0], folder)).as_posix()})\n\n*{title}.*"


def update(page: Path, results: Path, only_check: bool) -> bool:
    """Fill a page's blocks, or with ``only_check`` leave it as it is.

    Returns:
        Whether the page was as it should be before.

    Raises:
        UsageError: There is no such page, or a marker of it has no partner.
        BenchmarkError: A suite that it names has no report.
    """
    if not page.is_file():
        raise UsageError(f"{page} does not exist: name a page with --readme")
    before = page.read_text("utf-8")
    try:
        after = filled(before, results, page.parent)
    except UsageError as error:
        raise UsageError(f"{page}: {error}") from error
    if after != before and not only_check:
        write_text(page, after)
    return after == before
