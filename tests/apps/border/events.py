from __future__ import annotations

from uno_workflows import Event


class RunCalled(Event):
    key: str
    how: str


class HandlerCalled(Event):
    key: str
    how: str


class Nudge(Event):
    key: str
    how: str


class StepCalled(Event):
    key: str
    how: str


class KeyCalled(Event):
    key: str
    how: str


class Shown(Event):
    key: str
    how: str


class CommandCalled(Event):
    key: str


class Changed(Event):
    key: str


class GoOn(Event):
    key: str


class Well(Event):
    key: str
