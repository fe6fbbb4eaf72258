"""What may be the name of a file or folder of ours, wherever it came from."""

import re

LONGEST = 200
"""Bytes; file systems take 255, and prefixes and suffixes come on top."""
_SAFE = re.compile(r"\w[\w.+-]*")


def is_safe(name: str) -> bool:
    r"""Whether a name stays in the folder where it is put: no separator, no leading dot, nothing that is not seen.

    >>> [is_safe(name) for name in ("ulm_000000_000019", "Rewis3d+", "..", "a/b", "a b", "a\n", "")]
    [True, True, False, False, False, False, False]
    """
    return _SAFE.fullmatch(name) is not None and len(name.encode(errors="replace")) <= LONGEST
