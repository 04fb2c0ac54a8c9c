"""The heap of a process that has loaded what it runs."""

from __future__ import annotations

import gc


def set_heap_aside() -> None:
    """Hide all objects there are now from the garbage collector, for good.

    Modules, models and their validators live as long as the process. They are most of its heap, and each full collection would
    walk through them: a projection spends as long on that as on its events (ADR 0017). Only for a process of our own, and only
    once: a cycle among these objects is never freed. Runs and tasks that are in memory at that moment are among them.
    """
    gc.collect()
    gc.freeze()
