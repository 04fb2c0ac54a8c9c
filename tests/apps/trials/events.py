from __future__ import annotations

from uno_workflows import Event


class Begun(Event):
    """Starts a `Trial`. `what` names the method that it runs."""

    trial: str
    what: str
    load: str = ""


class Redone(Event):
    """Starts a `Trial` as well."""

    trial: str
    what: str


class Nudged(Event):
    trial: str
    word: str = ""


class Poked(Event):
    """Handled by a method of the trial; `what` says what that does."""

    trial: str
    what: str = ""


class Noted(Event):
    """Both handled and expected."""

    trial: str


class Announced(Event):
    """Belongs to several trials at once."""

    trials: tuple[str, ...]


class Unsorted(Event):
    """Its key function fails."""

    trial: str


class Reported(Event):
    trial: str
    words: tuple[str, ...] = ()


class Timed(Event):
    """Starts a `TimedTrial`."""

    trial: str
    what: str
