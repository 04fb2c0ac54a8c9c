"""What customers do about one transfer, and the other parties in it: everything is drawn from the seed and the transfer's id."""

import asyncio
import random
from collections import defaultdict
from contextlib import suppress
from typing import Final

from uno_workflows import NO_STREAM, STREAM_EXISTS, Event, Uno
from workers.bank.appends import OUTAGES, SettledAppends
from workers.bank.events import (
    AccountOpened,
    CashPaidIn,
    TransferApproved,
    TransferCancelled,
    TransferCompleted,
    TransferRequested,
    TransferReversed,
)
from workers.bank.fates import Fate, draw, fate_of

OPENING: Final = 1_000_00
LARGE: Final = 10_000_00
WITHIN: Final = {Fate.APPROVED: 3600, Fate.APPROVED_AT_ONCE: 1, Fate.UNAPPROVED: 2, Fate.CANCELLED: 3600}
"""Seconds that a large transfer may wait for its approval."""
UNTIL_REVERSED: Final = 60.0
"""Seconds after which nobody cares any more to approve what was not approved in time."""
UNTIL_OVER: Final = 120.0
"""Seconds after which a customer stops waiting for the end of a transfer."""
LOOK: Final = 0.3
Said = TransferRequested | TransferApproved | TransferCancelled


class Customers:
    """Those of one writer.

    Args:
        name: Part of the ids of their transfers.
        accounts: How many accounts there are; all writers open the same ones.
        pause: The longest rest between two acts of one transfer, in seconds.
        leaving: Set when they are to wait for nobody any more.
    """

    def __init__(
        self, uno: Uno, appends: SettledAppends, *, name: str, seed: int, accounts: int, pause: float, leaving: asyncio.Event
    ) -> None:
        self._uno, self._appends, self._leaving = uno, appends, leaving
        self._name, self._seed, self._accounts, self._pause = name, seed, accounts, pause

    async def open_accounts(self) -> None:
        """Open all accounts in one append; every writer does so under the same ids, and they are opened once."""
        opened = [AccountOpened(account_id=str(n), opening=OPENING) for n in range(self._accounts)]
        streams = {f"account-{event.account_id}": [event] for event in opened}
        await self._appends.append("open accounts", streams, expected=NO_STREAM)

    async def transfer(self, number: int) -> str:
        """Make one transfer; repeated after a kill, it goes on where it stopped. Returns its id."""
        chance, transfer_id = random.Random(f"{self._seed}/{number}"), f"{self._name}-{self._seed}-{number}"
        source, target = chance.sample(range(self._accounts), 2)
        within = WITHIN.get(fate_of(transfer_id), 0)
        if chance.random() < 0.3:
            await self._pay_in(source, transfer_id, chance.randrange(1, 100_00))
        request = TransferRequested(
            transfer_id=transfer_id,
            source=str(source),
            target=str(target),
            amount=chance.randrange(1, 500_00) + (LARGE if within else 0),
            fee=chance.randrange(1, 5_00),
            approval_within=within,
        )
        await self._follow(request, chance)
        return transfer_id

    async def _follow(self, request: TransferRequested, chance: random.Random) -> None:
        """Request it, and do what its fate wants the others to do."""
        transfer_id, fate = request.transfer_id, fate_of(request.transfer_id)
        approval = TransferApproved(transfer_id=transfer_id, by="the fourth floor")
        if fate is Fate.APPROVED and draw(transfer_id, "early", 3) == 0:
            await self._say(approval, expected=NO_STREAM)
            await self._rest(chance)
            await self._say(request, expected=1)
        elif fate is Fate.APPROVED_AT_ONCE:
            await self._appends.append(f"request {transfer_id}", {_stream(request): [request, approval]}, expected=NO_STREAM)
        else:
            await self._say(request, expected=NO_STREAM)
            if draw(transfer_id, "pressed twice", 15) == 0:  # the repeat is refused, because the transfer exists
                await self._appends.append(f"request {transfer_id} again", {_stream(request): [request]}, expected=NO_STREAM)
            await self._rest(chance, times=5 if fate is Fate.RACED else 1)
        if fate is Fate.APPROVED:
            await self._say(approval, expected=STREAM_EXISTS)
        elif fate is Fate.UNAPPROVED and await self._is_reversed(request):
            await self._say(approval, expected=STREAM_EXISTS)  # and comes late
        elif fate in (Fate.CANCELLED, Fate.RACED):
            await self._say(TransferCancelled(transfer_id=transfer_id, reason="second thoughts"), expected=STREAM_EXISTS)

    async def _say(self, event: Said, *, expected: int) -> None:
        await self._appends.append(f"{event.event_type} {event.transfer_id}", {_stream(event): [event]}, expected=expected)

    async def _pay_in(self, account: int, receipt: str, amount: int) -> None:
        """Pay in where the account stands as it was seen; somebody else may move its money meanwhile, so a few times."""
        stream, event = f"account-{account}", CashPaidIn(account_id=str(account), amount=amount, receipt=receipt)
        for trial in range(3):
            seen = await self._version(stream)
            if await self._appends.append(f"pay in {receipt} #{trial}", {stream: [event]}, expected=seen):
                return
        await self._appends.append(f"pay in {receipt}", {stream: [event]})

    async def _version(self, stream: str) -> int:
        while True:
            try:
                return max([recorded.version async for recorded in self._uno.read(stream, backwards=True, limit=1)], default=0)
            except OUTAGES:
                await asyncio.sleep(self._pause)

    async def _is_reversed(self, request: TransferRequested) -> bool:
        """Wait until it was reversed, but not for ever."""
        end = asyncio.get_running_loop().time() + UNTIL_REVERSED
        while asyncio.get_running_loop().time() < end and not self._leaving.is_set():
            try:
                if any([isinstance(each.event, TransferReversed) async for each in self._uno.read(_stream(request))]):
                    return True
            except OUTAGES:
                pass
            await asyncio.sleep(0.2)
        return False

    async def _rest(self, chance: random.Random, *, times: int = 1) -> None:
        await asyncio.sleep(chance.random() * self._pause * times)


class Ends:
    """The transfers that have ended, read from the log.

    Args:
        leaving: Set when waiting must stop.
    """

    def __init__(self, uno: Uno, *, leaving: asyncio.Event) -> None:
        self._uno, self._leaving = uno, leaving
        self._over: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self._position = 0

    async def watch(self) -> None:
        """Read the log now and then, until cancelled."""
        types: list[type[Event]] = [TransferCompleted, TransferReversed]
        while True:
            try:
                async for recorded in self._uno.read_all(after=self._position, types=types):
                    assert isinstance(recorded.event, (TransferCompleted, TransferReversed))
                    self._over[recorded.event.transfer_id].set()
                    self._position = recorded.position
            except OUTAGES:
                pass
            if self._leaving.is_set():
                for over in self._over.values():
                    over.set()
            await asyncio.sleep(LOOK)

    async def seen(self, transfer_id: str) -> None:
        """Wait for the end of a transfer, but not for ever."""
        with suppress(TimeoutError):
            async with asyncio.timeout(UNTIL_OVER):
                await self._over[transfer_id].wait()


def _stream(event: Said) -> str:
    return f"transfer-{event.transfer_id}"
