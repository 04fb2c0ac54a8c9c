"""uno_workflows: business events in Postgres drive durable Temporal workflows.

Names are resolved when they are used: workflow code imports this package, and must not pull in what it does not need.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from uno_workflows.app.uno import Uno as Uno
    from uno_workflows.config import Settings as Settings
    from uno_workflows.events.base import Event as Event
    from uno_workflows.events.calls import CurrentStep as CurrentStep
    from uno_workflows.events.calls import current_step as current_step
    from uno_workflows.events.context import EventContext as EventContext
    from uno_workflows.events.context import Principal as Principal
    from uno_workflows.events.context import event_context as event_context
    from uno_workflows.events.cursors import Cursor as Cursor
    from uno_workflows.events.errors import ConfigurationError as ConfigurationError
    from uno_workflows.events.errors import CursorOutOfLog as CursorOutOfLog
    from uno_workflows.events.errors import DeclarationError as DeclarationError
    from uno_workflows.events.errors import DuplicateEventId as DuplicateEventId
    from uno_workflows.events.errors import Expired as Expired
    from uno_workflows.events.errors import ForeignEventLoop as ForeignEventLoop
    from uno_workflows.events.errors import InvalidArgument as InvalidArgument
    from uno_workflows.events.errors import InvalidEvent as InvalidEvent
    from uno_workflows.events.errors import InvalidStreamId as InvalidStreamId
    from uno_workflows.events.errors import InvalidTenant as InvalidTenant
    from uno_workflows.events.errors import NotInTransaction as NotInTransaction
    from uno_workflows.events.errors import NotYet as NotYet
    from uno_workflows.events.errors import Refused as Refused
    from uno_workflows.events.errors import SchemaMismatch as SchemaMismatch
    from uno_workflows.events.errors import StepFailed as StepFailed
    from uno_workflows.events.errors import StoreClosed as StoreClosed
    from uno_workflows.events.errors import StoreContended as StoreContended
    from uno_workflows.events.errors import StoreRefused as StoreRefused
    from uno_workflows.events.errors import StoreUnavailable as StoreUnavailable
    from uno_workflows.events.errors import StreamClosed as StreamClosed
    from uno_workflows.events.errors import TransactionFailed as TransactionFailed
    from uno_workflows.events.errors import UndecodableEvent as UndecodableEvent
    from uno_workflows.events.errors import UnknownEventType as UnknownEventType
    from uno_workflows.events.errors import UnoError as UnoError
    from uno_workflows.events.errors import WrongExpectedVersion as WrongExpectedVersion
    from uno_workflows.events.handlers import on as on
    from uno_workflows.events.ids import derived_event_id as derived_event_id
    from uno_workflows.events.names import ANY as ANY
    from uno_workflows.events.names import NO_STREAM as NO_STREAM
    from uno_workflows.events.names import STREAM_EXISTS as STREAM_EXISTS
    from uno_workflows.events.protocols import Transaction as Transaction
    from uno_workflows.events.recorded import Appended as Appended
    from uno_workflows.events.recorded import Recorded as Recorded
    from uno_workflows.events.retry import Retry as Retry
    from uno_workflows.projections.projection import Projection as Projection
    from uno_workflows.sagas.saga import Saga as Saga
    from uno_workflows.sagas.steps import step as step

_HOMES = {
    "ANY": "events.names",
    "Appended": "events.recorded",
    "ConfigurationError": "events.errors",
    "CurrentStep": "events.calls",
    "Cursor": "events.cursors",
    "CursorOutOfLog": "events.errors",
    "DeclarationError": "events.errors",
    "DuplicateEventId": "events.errors",
    "Event": "events.base",
    "EventContext": "events.context",
    "Expired": "events.errors",
    "ForeignEventLoop": "events.errors",
    "InvalidArgument": "events.errors",
    "InvalidEvent": "events.errors",
    "InvalidStreamId": "events.errors",
    "InvalidTenant": "events.errors",
    "NO_STREAM": "events.names",
    "NotInTransaction": "events.errors",
    "NotYet": "events.errors",
    "Principal": "events.context",
    "Projection": "projections.projection",
    "Recorded": "events.recorded",
    "Refused": "events.errors",
    "Retry": "events.retry",
    "STREAM_EXISTS": "events.names",
    "Saga": "sagas.saga",
    "SchemaMismatch": "events.errors",
    "Settings": "config",
    "StepFailed": "events.errors",
    "StoreClosed": "events.errors",
    "StoreContended": "events.errors",
    "StoreRefused": "events.errors",
    "StoreUnavailable": "events.errors",
    "StreamClosed": "events.errors",
    "Transaction": "events.protocols",
    "TransactionFailed": "events.errors",
    "UndecodableEvent": "events.errors",
    "UnknownEventType": "events.errors",
    "Uno": "app.uno",
    "UnoError": "events.errors",
    "WrongExpectedVersion": "events.errors",
    "current_step": "events.calls",
    "derived_event_id": "events.ids",
    "event_context": "events.context",
    "on": "events.handlers",
    "step": "sagas.steps",
}

__all__ = sorted(_HOMES)  # noqa: PLE0605 (a test holds it against the names above)


def __getattr__(name: str) -> Any:
    if (home := _HOMES.get(name)) is None:
        raise AttributeError(f"module 'uno_workflows' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"uno_workflows.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*globals(), *_HOMES]
