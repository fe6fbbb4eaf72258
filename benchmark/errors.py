"""Errors that a user can mend: one sentence with the file or field and the next step, and an exit code."""

import difflib
from collections.abc import Iterable


class BenchmarkError(Exception):
    """Something the user can mend. The command line prints it as one sentence, without a traceback."""

    exit_code = 1


class UsageError(BenchmarkError):
    """The command asks for something that does not exist or cannot be combined."""

    exit_code = 2


class DatasetError(BenchmarkError):
    """A file of a dataset is missing, damaged, or not what its format says."""

    exit_code = 3


class Unsupported(BenchmarkError):
    """A dataset or machine lacks what was asked for; the text is the reason that tables print beside ``n/a``."""

    exit_code = 2


def unknown_name(what: str, name: str, known: Iterable[str]) -> UsageError:
    """The error for a name that does not exist, with the closest one that does."""
    known = sorted(known)
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return UsageError(f"unknown {what} {name!r}: {hint}known are {', '.join(known) or 'none'}")
