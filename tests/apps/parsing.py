"""Reading Python as a tree."""

from __future__ import annotations

import ast
import gc


def parsed(source: str) -> ast.Module:
    """What `ast.parse` gives.

    That of Python 3.11 fails if the garbage collector ends a generator meanwhile, such as a workflow that was evicted (cpython
    issue 106905).
    """
    collecting = gc.isenabled()
    gc.disable()
    try:
        return ast.parse(source)
    finally:
        if collecting:
            gc.enable()
