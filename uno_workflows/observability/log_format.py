"""What a worker writes to stderr: one line for each record, of ours and of everybody else's, as JSON or for people."""

from __future__ import annotations

import json
import logging
import math
import os
import socket
import sys
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any, Final, Literal

import structlog
from temporalio import activity, workflow

from uno_workflows.events.limits import FIELD
from uno_workflows.events.raised import is_a
from uno_workflows.events.telling import masked
from uno_workflows.events.text import printable, shown
from uno_workflows.observability.line import spelt, told
from uno_workflows.observability.log_context import surroundings, trace_fields
from uno_workflows.observability.log_events import LOG_EVENTS
from uno_workflows.observability.log_records import Once, error_of, line_of

Format = Literal["console", "json"]
Level = Literal["debug", "info", "warning", "error"]

SDK_FOR_USERS: Final = ("temporalio.workflow", "temporalio.activity")
"""The SDK's loggers that users write to; its others have whole payloads in their debug lines."""
COLORS: Final = {"debug": "\x1b[2m", "info": "\x1b[32m", "warning": "\x1b[33m", "error": "\x1b[31m", "critical": "\x1b[31m"}
PLAIN: Final = "\x1b[0m"
LONG_INT: Final = 64
"""Bits of an integer that readers of JSON take as one."""
HEAD: Final = frozenset({"ts", "level", "event", "msg", "logger"})


def configure_logs(
    *, format: Format, level: Level = "info", fields: Mapping[str, str] | None = None, verbose: bool = False
) -> None:
    """Write every record of this process to stderr. Programs call it, libraries never: `uno worker` and `uno dev` do.

    Calling it again replaces what it did before.

    Args:
        format: JSON for collectors, or a readable line.
        level: The least that is written. The SDK's own machinery is heard from warnings on, whatever this says.
        fields: Fields of every JSON line, such as `service` and `build_id`.
        verbose: Also what this framework says at debug level.
    """
    logging.basicConfig(level=level.upper(), handlers=[_handler(format, fields or {})], force=True)
    logging.captureWarnings(True)
    logging.getLogger("uno_workflows").setLevel(logging.DEBUG if verbose else logging.NOTSET)
    logging.getLogger("asyncpg.pool").setLevel(logging.ERROR)  # an outage, with a stack for each connection: we say it in a line
    logging.getLogger("temporalio").setLevel(max(logging.WARNING, logging.getLogger().level))
    for name in SDK_FOR_USERS:
        logging.getLogger(name).setLevel(level.upper())
    # what it would append to the text is in fields
    workflow.logger.workflow_info_on_message = activity.logger.activity_info_on_message = False


def logs_are_json() -> bool:
    """Whether this process writes JSON lines, so that nothing else may go to stderr."""
    return any(isinstance(handler.formatter, _JsonFormatter) for handler in logging.getLogger().handlers)


class _JsonFormatter(structlog.stdlib.ProcessorFormatter):
    """Its own class, to be recognised."""


def _handler(format: Format, fields: Mapping[str, str]) -> logging.Handler:
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(Once())
    if format == "json":
        identity = {**fields, "version": version("uno-workflows"), "host": socket.gethostname(), "pid": os.getpid()}
        as_json = structlog.processors.JSONRenderer(default=told)
        handler.setFormatter(_JsonFormatter(processors=[_Fields(identity), as_json]))
    else:
        readable = _Readable(colors=sys.stderr.isatty())
        handler.setFormatter(structlog.stdlib.ProcessorFormatter(processors=[_Fields({}), readable]))
    return handler


class _Fields:
    """Turns a record into the fields of one line."""

    def __init__(self, identity: Mapping[str, Any]) -> None:
        self._identity = identity

    def __call__(self, _: Any, __: str, event_dict: Any) -> dict[str, Any]:
        record: logging.LogRecord = event_dict["_record"]
        line = line_of(record, event_dict["event"])
        body = {**surroundings(), **error_of(event_dict.get("exc_info")), **line.fields}
        body = {name: _storable(value) for name, value in body.items()}
        known = LOG_EVENTS.get(line.event)
        head = {
            "ts": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": known.level if known else record.levelname.lower(),
            "event": line.event,
            "msg": known.meaning if known else body.pop("msg", ""),
            "logger": record.name,
            **self._identity,
            **trace_fields(),
        }
        rest = {name: value for name, value in body.items() if head.get(name) != value}
        return {**head, **{f"extra.{name}" if name in head else name: value for name, value in rest.items()}}


def _storable(value: Any) -> Any:
    """A value that JSON can hold and every reader of JSON takes, not too long; else its text."""
    if value is None or is_a(value, bool) or (is_a(value, int) and int.bit_length(value) < LONG_INT):
        return value
    if is_a(value, float) and math.isfinite(value):
        return value
    if is_a(value, str, BaseException):
        return told(value)
    if is_a(value, dict, list, tuple):
        with suppress(BaseException):  # NaN, a key that is no text, a ring, or what user code raises
            text = json.dumps(value, default=told, allow_nan=False)
            return value if (said := masked(text, FIELD)) == text else said
    return told(value)


class _Readable:
    """`02:40:01.123 warning outage_began: A server does not answer; … server=postgres`, and below it the stack, if any."""

    def __init__(self, *, colors: bool) -> None:
        self._colors = colors

    def __call__(self, _: Any, __: str, fields: Any) -> str:
        level, stack = fields["level"], shown(fields.pop("error.stack", ""))
        mark = f"{COLORS[level]}{level:7}{PLAIN}" if self._colors and level in COLORS else f"{level:7}"
        known = LOG_EVENTS.get(fields["event"])
        code, advice = (known.code, known.advice) if known else (printable(fields["logger"]), "")
        rest = spelt({name: value for name, value in fields.items() if name not in HEAD})
        first = " ".join([f"{fields['ts'][11:23]} {mark} {code}: {printable(fields['msg'])}{advice}", *rest])
        return "\n".join([first, *(f"    {printable(one)}" for one in stack.splitlines())])
