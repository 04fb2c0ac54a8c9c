"""The place of a reader in the whole log: a position, and the epoch of the log that it belongs to."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, NamedTuple
from uuid import UUID

from uno_workflows.events.errors import CursorOutOfLog, InvalidArgument
from uno_workflows.events.names import GlobalPosition

POSITIONS: Final = 2**63 - 1
_TEXT: Final = re.compile(r"([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}):(0|[1-9][0-9]{0,18})")


@dataclass(frozen=True, slots=True)
class Cursor:
    """The place of a reader. Store `str(recorded.cursor)`, and give `Cursor.parse(text)` as `after` next time.

    After a restore of the log, a position alone means another event. A cursor also names the log's epoch, so the reader gets
    `CursorOutOfLog` instead.

    Attributes:
        epoch: The life of the log between restores.
        position: The last position that the reader has handled.
    """

    epoch: UUID
    position: GlobalPosition

    def __post_init__(self) -> None:
        if not isinstance(self.epoch, UUID):
            raise TypeError(f"epoch: must be a UUID, not {type(self.epoch).__name__}")
        if not isinstance(self.position, int) or isinstance(self.position, bool):
            raise TypeError(f"position: must be an int, not {type(self.position).__name__}")
        if not 0 <= self.position <= POSITIONS:
            raise InvalidArgument("position", f"{self.position} is not from 0 to {POSITIONS}")

    def __str__(self) -> str:
        return f"{self.epoch}:{self.position}"

    @classmethod
    def parse(cls, text: str) -> Cursor:
        """The cursor that `str` made this text of.

        Raises:
            InvalidArgument: the text is no cursor.
        """
        if not isinstance(text, str):
            raise TypeError(f"text: must be a string, not {type(text).__name__}")
        if (parts := _TEXT.fullmatch(text)) is None:
            raise InvalidArgument("text", f"{text[:80]!r} is no cursor, which reads <epoch>:<position>")
        return cls(UUID(parts[1]), GlobalPosition(int(parts[2])))


class LogEnd(NamedTuple):
    """How far the log goes, as one statement saw it.

    Attributes:
        bound: How far readers may read: every committed event up to it is visible to any later statement.
        head: The newest position that was drawn; not below the bound.
        epoch: The life of the log between restores.
        first_position: The first position that retention left.
    """

    bound: GlobalPosition
    head: GlobalPosition
    epoch: UUID
    first_position: GlobalPosition

    def admit(self, after: Cursor | int) -> Cursor:
        """Where a reader of this log begins; 0 is the beginning of what the log holds.

        Raises:
            CursorOutOfLog: the position is of another epoch, ahead of the log, or before what retention left.
        """
        position, epoch = (after.position, after.epoch) if isinstance(after, Cursor) else (after, None)
        foreign = epoch is not None and epoch != self.epoch
        if foreign or position > self.head or 0 < position < self.first_position - 1:
            raise CursorOutOfLog(position, epoch=epoch, log_epoch=self.epoch, first_position=self.first_position, head=self.head)
        return Cursor(self.epoch, GlobalPosition(position))
