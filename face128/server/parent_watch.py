"""Ends a process together with the process that started it."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading


def end_with_parent() -> None:
    """End as on SIGTERM when the parent has died: after kill -9 this process would keep the port, or wait for work."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def end_after_parent() -> None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=end_after_parent, daemon=True, name="end with parent").start()
