"""Reasons as Postgres keeps them: words of a user's error or event may hold what its encoding has no place for."""

from __future__ import annotations


def storable(reason: str) -> str:
    """The text with NUL and lone surrogates spelt out; all else is as it was."""
    return reason.replace("\x00", "\\x00").encode(errors="backslashreplace").decode()
