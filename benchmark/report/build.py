"""From a suite's folder to its files: rendered in memory, then written or compared."""

from pathlib import Path

from wsss.benchmark.atomic import replacing
from wsss.benchmark.report import claims, class_tables, point_tables, reported, run_tables, tables
from wsss.benchmark.report.figures import all_figures
from wsss.benchmark.report.formats import SUFFIXES, markdown, write
from wsss.benchmark.report.page import page
from wsss.benchmark.report.results import Results
from wsss.benchmark.report.table import Table

FOLDERS = {"tables": SUFFIXES, "figures": ("pdf", "png")}
"""What belongs to the report: files of these kinds in these folders, and index.html."""


def all_tables(results: Results, committed: Results | None) -> list[Table]:
    """Every table that the suite has numbers for; the main one always, and first."""
    found = [
        tables.main(results),
        *tables.of_kinds(results),
        tables.gain(results),
        tables.ablations(results),
        run_tables.reproduced(results, committed) if committed else None,
        reported.beside(results, reported.find(results.folder)),
        *claims.tables(results),
        point_tables.quality(results),
        run_tables.labels(results),
        class_tables.predictors(results),
        run_tables.cost(results),
        *(class_tables.per_class(results, column) for column in results.columns),
    ]
    return [table for table in found if table is not None]


def rendered(results: Results, committed: Path | None) -> dict[str, bytes]:
    """Bytes of every file of the report, by path relative to the suite's folder.

    Raises:
        BenchmarkError: A stored file is damaged.
    """
    before, suite = None, results.folder
    if committed is not None and (committed / "plan.json").is_file() and committed.resolve() != suite.resolve():
        before = Results(committed)
    written = all_tables(results, before)
    figures = all_figures(results)
    files = {f"tables/{t.name}.{kind}": text.encode() for t in written for kind, text in write(t).items()}
    files |= {f"figures/{f.name}.{suffix}": data for f in figures for suffix, data in f.files.items()}
    files["index.html"] = page(results, written, figures).encode()
    return dict(sorted(files.items()))


def stored(suite: Path) -> list[str]:
    """Relative paths of the report's files as they lie there, sorted."""
    found = [suite / "index.html"]
    for folder, suffixes in FOLDERS.items():
        found += [path for suffix in suffixes for path in (suite / folder).glob(f"*.{suffix}")]
    return sorted(path.relative_to(suite).as_posix() for path in found if path.is_file())


def build(suite: Path | Results, committed: Path | None = None) -> list[Path]:
    """Write tables, figures and page beside the runs; the same results give the same bytes.

    Args:
        suite: ``<results>/<suite>``, holding ``plan.json``, or what was read of it; cells that are not finished are
            shown as such.
        committed: Another folder of the same suite to set side by side; ignored if it has no plan.

    Returns:
        The files written. Files of an earlier report that no longer belong to it are removed.

    Raises:
        BenchmarkError: There is no plan, or a stored file is damaged.
    """
    results = Results(suite) if isinstance(suite, Path) else suite
    files, suite = rendered(results, committed), results.folder
    for name in stored(suite):
        if name not in files:
            (suite / name).unlink()
    for name, data in files.items():
        with replacing(suite / name) as temporary:
            temporary.write_bytes(data)
    return [suite / name for name in files]


def check(suite: Path, committed: Path | None = None) -> list[str]:
    """Rebuild the report and compare.

    Args:
        suite: As for ``build``.
        committed: As it was given to ``build``.

    Returns:
        Relative paths that differ, are missing or do not belong to the report, sorted; empty if all is as rebuilt.
    """
    files = rendered(Results(suite), committed)
    surplus = [name for name in stored(suite) if name not in files]
    changed = [n for n, data in files.items() if not (suite / n).is_file() or (suite / n).read_bytes() != data]
    return sorted(surplus + changed)


def summary_text(suite: Path | Results) -> str:
    """What a terminal shows: whose numbers these are, and the main table and its notes without intervals."""
    results = Results(suite) if isinstance(suite, Path) else suite
    table = markdown(tables.main(results, brief=True))
    state = "mIoU in per cent; intervals and tests stand on the page" if results.runs else "No run is finished."
    head = f"{results.plan.title}\n{state}"
    return f"{head}\n\n{table[max(0, table.find('|')) :]}"
