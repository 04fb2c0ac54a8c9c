"""What Temporal's core, which is written in Rust, says: by itself on stdout and in colours, here as records like all others."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from temporalio.runtime import LogForwardingConfig, LoggingConfig, Runtime, TelemetryConfig, TelemetryFilter

WORKFLOW_TASKS: Final = "temporalio.worker._workflow"
"""The SDK's logger for what fails around a workflow task, outside of the workflow's own thread."""


def core_logging() -> LoggingConfig:
    """For a `Runtime`: errors only. Its warnings are one for each call that is retried, and an outage is told by us, once."""
    forwarding = LogForwardingConfig(
        logger=logging.getLogger("temporalio.core"), append_target_to_name=False, prepend_target_on_message=False
    )
    return LoggingConfig(filter=TelemetryFilter(core_level="ERROR", other_level="ERROR"), forwarding=forwarding)


def forward_core_logs() -> None:
    """Have every client that is connected from here on speak so, unless it has a runtime of its own."""
    Runtime.set_default(Runtime(telemetry=TelemetryConfig(logging=core_logging())), error_if_already_set=False)


@contextmanager
def sdk_lines(heard: Callable[[logging.LogRecord], bool]) -> Iterator[None]:
    """While the block runs, `heard` gets the SDK's log records of workflow tasks, and decides whether a line is written."""
    logger = logging.getLogger(WORKFLOW_TASKS)
    logger.addFilter(heard)
    try:
        yield
    finally:
        logger.removeFilter(heard)
