"""Worker processes that do not outlive the command that started them."""

import os
import threading
from multiprocessing import parent_process
from multiprocessing.connection import wait


def end_with_parent() -> None:
    """End this worker when its parent is killed: the ``initializer`` of a pool of processes.

    Without it a worker waits for ever for work that nobody sends, or works on beside the command that is run next.
    """
    parent = parent_process()
    assert parent is not None

    def watch() -> None:
        wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
