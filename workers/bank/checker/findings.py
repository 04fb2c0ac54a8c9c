"""What a check has to say when something is not as it must be."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One thing that may never be, and is.

    Attributes:
        invariant: Its number, such as `I12`; several checks may hold one.
        where: The stream, position, key, table or process that it was seen at.
        expected: What had to be there.
        seen: What is there.
    """

    invariant: str
    where: str
    expected: str
    seen: str

    def __str__(self) -> str:
        return f"{self.invariant} {self.where}: expected {self.expected}, saw {self.seen}"
