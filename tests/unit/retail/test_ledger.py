"""A ledger stays right whoever stops waiting for it."""

import asyncio
import threading
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import pytest

from workers.retail.ledger import Ledger, Row, read_ledger


class SlowLedger(Ledger):
    """Writes when it is let, and knows how many threads were writing at once."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.begun, self.go = threading.Event(), threading.Event()
        self.at_once = self.most_at_once = 0

    def _write(self, rows: Iterable[Row]) -> None:
        self.at_once += 1
        self.most_at_once = max(self.at_once, self.most_at_once)
        self.begun.set()
        assert self.go.wait(10)
        super()._write(rows)
        self.at_once -= 1


def dispatch(number: int) -> Row:
    return {"key": f"dispatch-{number}", "kind": "dispatch", "reference": str(number)}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.jsonl"


async def cancel_while_it_writes(ledger: SlowLedger, row: Row) -> None:
    """Ask for a row, and be cancelled when the thread is about to write it."""
    asking = asyncio.create_task(ledger.enter(row))
    assert await asyncio.to_thread(ledger.begun.wait, 10)
    asking.cancel()
    with suppress(asyncio.CancelledError):
        await asking
    assert asking.cancelled()


async def test_a_row_whose_caller_was_cancelled_stands_once_when_it_is_asked_for_again(path: Path) -> None:
    """As the warehouse does when the database dies in the middle of a dispatch and comes back."""
    ledger = SlowLedger(path)
    await cancel_while_it_writes(ledger, dispatch(1))
    again = [asyncio.create_task(ledger.enter(dispatch(number))) for number in (1, 2)]
    await asyncio.sleep(0)
    ledger.go.set()
    assert [row["reference"] for row in await asyncio.gather(*again)] == ["1", "2"]
    assert [row["reference"] for row in read_ledger(path)] == ["1", "2"]


async def test_no_two_threads_write_at_once(path: Path) -> None:
    ledger = SlowLedger(path)
    for number in range(3):
        await cancel_while_it_writes(ledger, dispatch(number))
    last = asyncio.create_task(ledger.enter(dispatch(9)))
    await asyncio.sleep(0)
    ledger.go.set()
    await last
    assert ledger.most_at_once == 1
    assert sorted(row["reference"] for row in read_ledger(path)) == ["0", "1", "2", "9"]


async def test_what_the_disk_refuses_can_be_asked_for_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(descriptor: int) -> None:
        raise OSError(28, "no space left")

    ledger = Ledger(path)
    with monkeypatch.context() as patched:
        patched.setattr("os.fsync", refuse)
        with pytest.raises(OSError, match="no space left"):
            await ledger.enter(dispatch(1))
    assert list(read_ledger(path)) == []
    await asyncio.gather(ledger.enter(dispatch(1)), ledger.enter(dispatch(2)))
    assert [row["reference"] for row in read_ledger(path)] == ["1", "2"]
