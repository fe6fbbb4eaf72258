"""What is said in the log while a cloud is made, so that it can be kept with the cloud."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager


class _Kept(logging.Handler):
    """Keeps warnings as text."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.remarks: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.remarks.append(record.getMessage())


@contextmanager
def remarks() -> Iterator[list[str]]:
    """A list that the warnings of this package's modules are added to until the block ends; they are logged as well."""
    logger, kept = logging.getLogger(__package__), _Kept()
    logger.addHandler(kept)
    try:
        yield kept.remarks
    finally:
        logger.removeHandler(kept)
