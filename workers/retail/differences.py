"""What a check has to say when two sources do not agree."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that does not agree; as text, `order 536365: payment 10.00, CSV says 12.00`."""

    check: str
    subject: str
    what: str

    def __str__(self) -> str:
        return f"{self.subject}: {self.what}"


def compared(
    check: str, subject: str, what: str, got: Mapping[Any, Any], expected: Mapping[Any, Any], *, source: str = "CSV"
) -> Iterator[Difference]:
    """One difference for each key whose values differ; a key that is absent counts as 0."""
    for key in sorted({*got, *expected}, key=str):
        if got.get(key, 0) != expected.get(key, 0):
            message = f"{what} {got.get(key, 0)}, {source} says {expected.get(key, 0)}"
            yield Difference(check, f"{subject} {key}", message)
