"""The inbox, against a model of pumps that crash, overlap, share out and are restored from backups."""

from __future__ import annotations

import random
from collections.abc import Iterator
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from uno_workflows.sagas.envelope import Delivery
from uno_workflows.sagas.inbox import RING, Inbox

FIRST, SECOND = UUID(int=1), UUID(int=2)
KEYS, STREAMS = 4, ("order", "shipment")


def delivery(n: int, *, stream: str = "order-1", version: int | None = None, epoch: UUID = FIRST, **more: object) -> Delivery:
    return Delivery.model_validate(
        {
            "type": "Happened",
            "event_id": UUID(int=n),
            "stream": stream,
            "version": n if version is None else version,
            "position": n,
            "epoch": epoch,
            "correlation_id": "c",
            **more,
        }
    )


def inbox() -> Inbox:
    return Inbox(frozenset(), frozenset({"Happened"}))


class Log:
    """Events of several streams, each belonging to one key."""

    def __init__(self, rnd: random.Random, size: int) -> None:
        self._rnd, self._ids, self.epoch = rnd, iter(range(1, 10**9)), FIRST
        self.rows: list[tuple[int, Delivery]] = []
        self.grow(size)

    def grow(self, size: int) -> None:
        for _ in range(size):
            key = self._rnd.randrange(KEYS)
            stream = f"{self._rnd.choice(STREAMS)}-{key}"
            version = 1 + sum(row.stream == stream for _, row in self.rows)
            made = delivery(next(self._ids), stream=stream, version=version, epoch=self.epoch, position=len(self.rows) + 1)
            self.rows.append((key, made))

    def restore(self, kept: int) -> None:
        """Lose the end of the log: positions and versions are handed out again, to other events, under another epoch."""
        self.epoch = SECOND
        self.rows = [(key, row.model_copy(update={"epoch": SECOND})) for key, row in self.rows[:kept]]


def pumped(log: Log, rnd: random.Random, *, pumps: int, first: int = 0) -> Iterator[tuple[int, Delivery]]:
    """What pumps deliver that share out the keys, restart from their checkpoints, and go on as zombies for a while."""
    at = [first] * pumps
    checkpoints = [first] * pumps
    readers = list(range(pumps))
    zombies: list[tuple[int, int]] = []
    while min(checkpoints) < len(log.rows):
        owner = rnd.choice(readers)
        if at[owner] < len(log.rows):
            key, row = log.rows[at[owner]]
            if key % pumps == owner:
                yield key, row
            at[owner] += 1
        if rnd.random() < 0.3:
            checkpoints[owner] = at[owner]
        if rnd.random() < 0.05:  # taken over: the heir begins at the checkpoint, the zombie has not noticed
            zombies.append((owner, at[owner]))
            at[owner] = checkpoints[owner]
        if zombies and rnd.random() < 0.3:
            zombie, place = zombies.pop(rnd.randrange(len(zombies)))
            if place < len(log.rows):
                key, row = log.rows[place]
                if key % pumps == zombie and place < at[zombie]:  # in turn: its own next event was sent before
                    yield key, row
                zombies.append((zombie, place + 1))


def check(log: Log, boxes: dict[int, Inbox], *, before: int = 0) -> None:
    for key, box in boxes.items():
        wanted = [row.event_id for owner, row in log.rows if owner == key]
        taken = [row.event_id for row in box.waiting]
        assert len(taken) == len(set(taken)), "taken twice"
        assert set(wanted) <= set(taken), "lost"
        for stream in {row.stream for row in box.waiting}:
            versions = [row.version for row in box.waiting if row.stream == stream and row.epoch == log.epoch]
            assert versions == sorted(versions), "out of order"


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_nothing_is_lost_or_doubled_by_crashes_and_repartitioning(seed: int):
    rnd = random.Random(seed)
    log, boxes = Log(rnd, 60), {key: inbox() for key in range(KEYS)}
    first = 0
    for pumps in (3, 2, 4):
        for key, row in pumped(log, rnd, pumps=pumps, first=first):
            boxes[key].accept(row)
        first = rnd.randrange(len(log.rows))  # the new layout begins at the lowest checkpoint of the old one, or earlier
        log.grow(30)
    for key, row in pumped(log, rnd, pumps=1, first=0):
        boxes[key].accept(row)
    check(log, boxes)


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_nothing_is_lost_or_doubled_by_a_restore(seed: int):
    """Versions are handed out twice, and events that a saga has seen come again under another epoch."""
    rnd = random.Random(seed)
    log, boxes = Log(rnd, 60), {key: inbox() for key in range(KEYS)}
    for key, row in pumped(log, rnd, pumps=2):
        boxes[key].accept(row)
    kept = rnd.randrange(20, 60)
    log.restore(kept)
    log.grow(40)
    for key, row in pumped(log, rnd, pumps=3, first=rnd.randrange(kept)):
        boxes[key].accept(row)
    check(log, boxes)


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_events_that_were_set_aside_come_later_and_once(seed: int):
    rnd = random.Random(seed)
    log, boxes = Log(rnd, 60), {key: inbox() for key in range(KEYS)}
    aside = set(rnd.sample(range(60), 10))
    for place, (key, row) in enumerate(log.rows):
        if place not in aside:
            boxes[key].accept(row)
    for place in [*aside, *aside]:
        key, row = log.rows[place]
        boxes[key].accept(row.model_copy(update={"redelivered": True}))
    for key, row in log.rows:
        boxes[key].accept(row)
    for key, box in boxes.items():
        taken = [row.event_id for row in box.waiting]
        assert sorted(taken) == sorted({row.event_id for owner, row in log.rows if owner == key})


# -- single rules


def test_duplicate_is_refused_and_the_next_version_is_not():
    box = inbox()
    assert [box.accept(delivery(n)) for n in (1, 1, 2, 1, 2)] == [True, False, True, False, False]


def test_streams_are_counted_apart():
    box = inbox()
    assert box.accept(delivery(1, stream="order-1", version=5))
    assert box.accept(delivery(2, stream="shipment-1", version=1))


@pytest.mark.parametrize("forgets", [False, True])
def test_an_event_that_was_taken_long_ago_is_known_by_its_id_but_in_runs_of_older_code(forgets: bool):
    box = Inbox(frozenset(), frozenset({"Happened"}), forgets=lambda: forgets)
    numbers = range(1, RING + 50)
    assert all(box.accept(delivery(n)) for n in numbers)
    assert {box.accept(delivery(n, redelivered=True)) for n in numbers} == {forgets}


def test_start_event_is_not_taken_again():
    box = inbox()
    box.begin(delivery(1))
    assert not box.accept(delivery(1))


def test_start_event_is_not_taken_again_when_a_later_one_was_signalled_first():
    """Signals of the first task are handled before the run begins."""
    box = inbox()
    assert box.accept(delivery(2))
    box.begin(delivery(1))
    assert not box.accept(delivery(1))
    assert not box.accept(delivery(1, epoch=SECOND))


@pytest.mark.parametrize(
    ("handled", "expected", "where"),
    [((), (), ["unclaimed"]), (("Happened",), (), ["work"]), ((), ("Happened",), ["waiting"]),
     (("Happened",), ("Happened",), ["work", "waiting"])],
)  # fmt: skip
def test_delivery_goes_where_it_is_declared(handled: tuple[str, ...], expected: tuple[str, ...], where: list[str]):
    box = Inbox(frozenset(handled), frozenset(expected))
    box.accept(delivery(1))
    assert [name for name in ("work", "waiting", "unclaimed") if getattr(box, name)] == where
    assert [d.event_id for d in box.unread()] == [UUID(int=1)]  # each once


def test_unread_is_in_log_order():
    box = inbox()
    for n, position in ((1, 9), (2, 4), (3, 6)):
        box.accept(delivery(n, position=position))
    assert [d.position for d in box.unread()] == [4, 6, 9]


def test_event_that_a_handler_took_is_not_unread_though_nobody_awaited_it() -> None:
    box = Inbox(frozenset({"Happened"}), frozenset({"Happened"}))
    box.begin(delivery(1))
    assert box.accept(delivery(2))
    assert [d.position for d in box.unread()] == [2]
    assert box.handling().position == 2
    assert box.unread() == []  # also when the handler never comes to its end
    box.handled()
    assert box.unread() == []
    assert box.work == []


def test_start_does_not_stand_for_what_lies_before_it_in_its_stream() -> None:
    box = inbox()
    box.begin(delivery(3))
    assert [box.accept(delivery(n)) for n in (1, 2, 3, 4, 4)] == [True, True, False, True, False]
    assert box.furthest == 4


# -- what may be no event of the log


def test_untrusted_delivery_moves_no_mark_until_it_is_trusted():
    box = inbox()
    assert box.accept(delivery(1))
    forged = delivery(9, version=1000)
    assert box.accept(forged, trusted=False)
    assert box.accept(delivery(2))
    assert box.furthest == 2
    box.trust(forged)
    assert box.furthest == 9
    assert not box.accept(delivery(3))


def test_untrusted_delivery_is_known_by_its_id_its_version_and_as_the_start():
    box = inbox()
    box.begin(delivery(1))
    box.accept(delivery(5))
    assert not box.accept(delivery(1), trusted=False)  # the start
    assert not box.accept(delivery(5), trusted=False)  # by its id
    assert not box.accept(delivery(6, version=4), trusted=False)  # by its version: this epoch has passed it
    assert box.accept(delivery(7, version=4, epoch=SECOND), trusted=False)  # that of another epoch says nothing
    assert not box.accept(delivery(7, version=4, epoch=SECOND), trusted=False)
    assert box.accept(delivery(8, version=4, redelivered=True), trusted=False)


def test_trust_in_an_event_of_another_epoch_moves_no_mark_of_this_one():
    box = inbox()
    box.accept(delivery(1))
    other = delivery(9, version=1000, epoch=SECOND)
    box.accept(other, trusted=False)
    box.trust(other)
    assert box.accept(delivery(2))
