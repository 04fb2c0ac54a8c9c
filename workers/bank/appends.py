"""Appends that are always settled: noted before and after, and repeated with the same ids through any outage."""

import asyncio
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from uno_workflows import ANY, Appended, DuplicateEventId, Event, InvalidEvent, Uno, WrongExpectedVersion, derived_event_id
from uno_workflows.events.encoding import decode, encode
from uno_workflows.events.errors import StoreContended, StoreUnavailable, StreamClosed
from workers.bank.events import AccountOpened, CashPaidIn, TransferApproved, TransferCancelled, TransferRequested
from workers.bank.ledger import Ledger, Line
from workers.bank.sagas import BANK_OPENED

REFUSALS: Final = (WrongExpectedVersion, DuplicateEventId, StreamClosed, InvalidEvent)
OUTAGES: Final = (StoreUnavailable, StoreContended)
PAUSE: Final = 0.2
"""Seconds between two tries, each of which has waited for the store already."""


@dataclass(frozen=True, slots=True)
class Write:
    """Events for one stream, under ids that follow from the intent."""

    stream: str
    events: tuple[Event, ...]
    ids: tuple[UUID, ...]
    expected: int

    @classmethod
    def of(cls, intent: str, stream: str, events: Sequence[Event], expected: int) -> "Write":
        """Events with their ids: the same intent has the same, whoever asks and whatever the ledger says."""
        ids = tuple(derived_event_id(BANK_OPENED, intent, stream, str(n)) for n in range(len(events)))
        return cls(stream, tuple(events), ids, expected)

    @classmethod
    def noted(cls, line: Line) -> "Write":
        """As a ledger has it."""
        events = [_CLASSES[name] for name in line["types"]]
        made = [decode(kind, text.encode(), schema_version=1) for kind, text in zip(events, line["payloads"], strict=True)]
        return cls(line["stream"], tuple(made), tuple(map(UUID, line["ids"])), line["expected"])

    def line(self) -> Line:
        """For the ledger."""
        return {
            "stream": self.stream,
            "expected": self.expected,
            "ids": [str(each) for each in self.ids],
            "types": [event.event_type for event in self.events],
            "payloads": [encode(event).decode() for event in self.events],
        }


_SAID: Final = (AccountOpened, CashPaidIn, TransferRequested, TransferApproved, TransferCancelled)
_CLASSES: Final[Mapping[str, type[Event]]] = {kind.event_type: kind for kind in _SAID}


class SettledAppends:
    """How a writer appends.

    Args:
        open_for: The longest time, in seconds, that a transaction of the writer's own stays open after its append.
        own_share: How many of its appends go into a transaction of its own, from 0 to 1.
    """

    def __init__(self, uno: Uno, ledger: Ledger, *, open_for: float, own_share: float = 0.2) -> None:
        self._uno, self._ledger, self._open_for, self._own_share = uno, ledger, open_for, own_share
        self._outcomes = {line["intent"]: line for line in ledger.lines if line["did"] in ("ok", "refused")}

    async def settle_noted(self) -> None:
        """Settle what the ledger left open: whoever wrote it was killed before it had an answer."""
        for line in self._ledger.lines:
            if line["did"] == "try" and line["intent"] not in self._outcomes:
                await self._settle(line["intent"], [Write.noted(write) for write in line["writes"]], own=line["own"])

    async def append(self, intent: str, streams: Mapping[str, Sequence[Event]], *, expected: int = ANY) -> bool:
        """Append events for an intent, once for ever.

        Returns:
            Whether they are stored; False if the store refused them.
        """
        if (known := self._outcomes.get(intent)) is not None:
            return bool(known["did"] == "ok")
        writes = [Write.of(intent, stream, events, expected) for stream, events in streams.items()]
        own = random.Random(intent).random() < self._own_share
        self._ledger.note("try", intent=intent, own=own, writes=[write.line() for write in writes])
        return await self._settle(intent, writes, own=own)

    async def _settle(self, intent: str, writes: Sequence[Write], *, own: bool) -> bool:
        ids = [str(each) for write in writes for each in write.ids]
        while True:
            try:
                made = await (self._send_in_own(writes) if own else self._send(writes))
            except REFUSALS as error:
                self._note("refused", intent, ids=ids, error=type(error).__name__, actual=getattr(error, "actual", None))
                return False
            except OUTAGES as error:
                self._ledger.note("unknown", intent=intent, ids=ids, error=f"{type(error).__name__}: {error}")
            except Exception as error:  # a repeat is always safe, and the checker shows what no append should raise
                self._ledger.note("surprise", intent=intent, ids=ids, error=f"{type(error).__name__}: {error}")
            else:
                self._note("ok", intent, ids=ids, **_told(writes, made))
                return True
            await asyncio.sleep(PAUSE)

    async def _send(self, writes: Sequence[Write], *, tx: object | None = None) -> dict[str, Appended]:
        return await self._uno.append_streams(
            {write.stream: write.events for write in writes},
            expected_versions={write.stream: write.expected for write in writes},
            event_ids={write.stream: write.ids for write in writes},
            tx=tx,
        )

    async def _send_in_own(self, writes: Sequence[Write]) -> dict[str, Appended]:
        """As a program does that has changes of its own to commit, and takes its time: readers wait for it meanwhile."""
        async with self._uno.transaction() as tx:
            made = await self._send(writes, tx=tx)
            await asyncio.sleep(random.random() * self._open_for)
        return made

    def _note(self, did: str, intent: str, **facts: Any) -> None:
        self._ledger.note(did, intent=intent, **facts)
        self._outcomes[intent] = {"did": did}


def _told(writes: Sequence[Write], made: Mapping[str, Appended]) -> dict[str, Any]:
    told = [made[write.stream] for write in writes]
    return {
        "positions": [position for each in told for position in each.positions],
        "first_versions": [each.first_version for each in told],
        "replayed": all(each.replayed for each in told),
    }
