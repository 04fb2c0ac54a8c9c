"""Loggers for the rooms: structlog's way of calling, the standard library's records.

Nothing is installed on import, and structlog's global configuration belongs to the program that uses us: in a web
application these are plain records under `uno_workflows.*`, and they read well without a word of configuration.
"""

from __future__ import annotations

import logging
from typing import Any

import structlog

from uno_workflows.observability.line import line


class _Logger(structlog.stdlib.BoundLogger):
    """Looks at the level before anything is made of a debug line: the dispatcher has one for each delivery."""

    def debug(self, event: str | None = None, *args: Any, **fields: Any) -> Any:
        """See `structlog`."""
        return super().debug(event, *args, **fields) if self._logger.isEnabledFor(logging.DEBUG) else None


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """A logger: `log.warning("lease_lost", subscription=name, reason=why)`.

    The first argument is a code of the catalogue; everything else is a field.
    """
    made: structlog.stdlib.BoundLogger = structlog.wrap_logger(
        logging.getLogger(name),
        processors=[structlog.stdlib.filter_by_level, _to_record],
        wrapper_class=_Logger,
        cache_logger_on_first_use=True,
    )
    return made


def _to_record(_: Any, __: str, event_dict: Any) -> tuple[tuple[Any], dict[str, Any]]:
    """The arguments of the standard library's call."""
    event, exc_info = event_dict.pop("event"), event_dict.pop("exc_info", None)
    return (line(event, **event_dict),), {"exc_info": exc_info}
