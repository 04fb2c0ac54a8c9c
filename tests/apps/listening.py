"""Reading the log of a worker that runs in the test's own process."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr
from typing import Any

from temporalio import activity, workflow

from uno_workflows.observability.log_format import SDK_FOR_USERS, configure_logs

Lines = Callable[[], list[dict[str, Any]]]
CHANGED = ("", "uno_workflows", "asyncpg.pool", "temporalio", *SDK_FOR_USERS)


@contextmanager
def restored() -> Iterator[None]:
    """What `configure_logs` changes is global, and other tests run in this process."""
    levels, handlers = {name: logging.getLogger(name).level for name in CHANGED}, logging.getLogger().handlers[:]
    logging.getLogger().handlers.clear()  # else they are closed
    try:
        yield
    finally:
        logging.captureWarnings(False)
        logging.getLogger().handlers[:] = handlers
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
        workflow.logger.workflow_info_on_message = activity.logger.activity_info_on_message = True


@contextmanager
def listening(**options: Any) -> Iterator[Lines]:
    """JSON lines while the block runs; the value reads those so far."""
    with restored(), redirect_stderr(io.StringIO()) as stderr:
        configure_logs(format="json", **options)
        yield lambda: [json.loads(line) for line in stderr.getvalue().splitlines()]
