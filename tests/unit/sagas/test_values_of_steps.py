"""Steps and sagas whose values would change are refused where they stand; values that cannot travel fail once, by name."""

from __future__ import annotations

import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from decimal import Decimal
from pathlib import Path
from types import ModuleType
from typing import Any, cast
from uuid import UUID

import pytest
from pydantic import BaseModel
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from uno_workflows import DeclarationError, Event, Saga, Transaction, step
from uno_workflows.app.catalogue import discover
from uno_workflows.events.calls import StepCall
from uno_workflows.events.errors import InvalidEvent, InvalidValue, StepFailed
from uno_workflows.events.protocols import StepStore
from uno_workflows.sagas import calls
from uno_workflows.sagas.activities import step_activity
from uno_workflows.sagas.calls import proven
from uno_workflows.sagas.payloads import payload_of, text_of, unmarked, value_of
from uno_workflows.sagas.steps import Step

CALL = StepCall(key="Fulfil/1/charge#1", start_event_id=UUID(int=1), stream="order-1", correlation_id="talk")
HEAD = """
from decimal import Decimal
from typing import Any
from datetime import datetime
import threading
from pydantic import BaseModel, Field, SecretStr
from uno_workflows import Event, Saga, Transaction, step

class Placed(Event):
    order_id: str

class Lossy(BaseModel):
    amount: Decimal = Field(Decimal(1), exclude=True)

class Lock: ...
"""


def module(tmp_path: Path, body: str, *, future: bool = False) -> ModuleType:
    """What a user's file declares, as it is imported."""
    file = tmp_path / "shop_of_values.py"
    text = ("from __future__ import annotations\n" if future else "\n") + HEAD + body
    file.write_text(text)
    made = sys.modules["shop_of_values"] = ModuleType("shop_of_values")
    exec(compile(text, str(file), "exec", dont_inherit=True), made.__dict__)
    return made


@pytest.fixture(autouse=True)
def _forgotten() -> Iterator[None]:
    yield
    sys.modules.pop("shop_of_values", None)


def line_of(tmp_path: Path, text: str) -> int:
    lines = (tmp_path / "shop_of_values.py").read_text().splitlines()
    return next(n for n, line in enumerate(lines, 1) if text in line)


# -- when they are declared


@pytest.mark.parametrize("future", [False, True])
@pytest.mark.parametrize(
    ("signature", "reason"),
    [
        ("order: Placed) -> Lock", "the result of step charge: pydantic cannot describe Lock"),
        ("order: Lock) -> None", "the argument of step charge: pydantic cannot describe Lock"),
        ("order: Placed) -> threading.Lock", "the result of step charge: pydantic cannot describe"),
        ("order: Placed) -> Lossy", r"the result of step charge: Lossy\.amount has exclude"),
        ("order: list[Lossy]) -> None", r"the argument of step charge: list\[Lossy\].*exclude"),
        ("order: Placed) -> SecretStr", "the result of step charge: SecretStr is a SecretStr"),
        ("order: str | datetime) -> None", r"the argument of step charge: str \| datetime is a union"),
        ("order: Any) -> None", "the argument of step charge: Any is Any"),
        ("order: Placed, tx: Transaction) -> set[str]", "the result of step charge: .*is a set"),
        ("order: Event) -> None", "the argument of step charge: Event is a base for events"),
    ],
)
def test_a_step_is_refused_with_its_file_and_line(tmp_path, signature, reason, future):
    with pytest.raises(DeclarationError, match=reason) as caught:
        module(tmp_path, f"\n@step\nasync def charge({signature}: ...\n", future=future)
    assert str(caught.value).startswith(f"{tmp_path}/shop_of_values.py:{line_of(tmp_path, '@step')}: ")
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("future", [False, True])
@pytest.mark.parametrize(
    ("annotation", "reason"),
    [
        ("held: Lock | None = None", "state 'held' of saga Fulfil: pydantic cannot describe"),
        ("seen: set[str] = set()", "state 'seen' of saga Fulfil: .* is a set"),
        ("paid: Lossy | None = None", r"state 'paid' of saga Fulfil: .*\.amount has exclude"),
        ("secret: SecretStr", "state 'secret' of saga Fulfil: SecretStr is a SecretStr"),
        ("what: Any = None", "state 'what' of saga Fulfil: Any is Any"),
    ],
)
def test_a_state_is_refused_with_the_file_and_line_of_its_saga(tmp_path, annotation, reason, future):
    body = f"""
class Fulfil(Saga, starts_on=Placed, key="order_id"):
    words: list[str] = []
    _own: threading.Lock
    {annotation}

    async def run(self, order: Placed) -> None: ...
"""
    with pytest.raises(DeclarationError, match=reason) as caught:
        module(tmp_path, body, future=future)
    assert str(caught.value).startswith(f"{tmp_path}/shop_of_values.py:{line_of(tmp_path, 'class Fulfil')}: ")


LATER = """
@step
async def charge(order: "Charge") -> "Receipt": ...

class Fulfil(Saga, starts_on=Placed, key="order_id"):
    receipt: "Receipt | None" = None

    async def run(self, order: Placed) -> None: ...
"""


def test_types_that_do_not_exist_yet_are_judged_when_the_worker_starts(tmp_path):
    fine = module(tmp_path, LATER + "\nclass Charge(BaseModel): n: int\nclass Receipt(BaseModel): n: int\n")
    assert list(discover([fine]).steps) == ["charge"]
    for missing, reason in (
        ("class Receipt(BaseModel): n: int", "step charge: name 'Charge' is not defined"),
        ("class Charge(BaseModel): n: int\nReceipt = Lossy", r"the result of step charge: Lossy\.amount has exclude"),
        (
            "class Charge(BaseModel): n: int\nclass Receipt(BaseModel): n: 'Nothing'",
            "the result of step charge: an annotation in Receipt names what does not exist",
        ),
    ):
        made = module(tmp_path, LATER + "\n" + missing)
        with pytest.raises(DeclarationError, match=reason) as caught:
            discover([made])
        assert f"shop_of_values.py:{line_of(tmp_path, '@step')}: " in str(caught.value)


# -- results


class Money(BaseModel):
    amount: Decimal


class Rich(Money):
    interest: float = 1.5


class Placed(Event):
    order_id: str


class Gift(Placed):
    card: str = ""


class Memory:
    """A store that keeps a result only if its work ends well."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}

    async def run_once(self, call: StepCall, work: Callable[[Transaction], Awaitable[bytes]]) -> bytes:
        if call.key not in self.kept:
            self.kept[call.key] = await work(cast("Transaction", None))
        return self.kept[call.key]


async def ran(declared: Step[Any, Any], argument: RawValue, store: Memory | None = None) -> Any:
    activity = step_activity(declared, cast("StepStore", store or Memory()))
    return value_of(await ActivityEnvironment().run(activity, argument, CALL), declared.result)


RESULTS: list[tuple[Any, Any, str]] = [
    (Money, Rich(amount=Decimal(1)), "step give returned Rich, and is declared to return Money"),
    (list[Money], [Rich(amount=Decimal(1))], r"result of step give, at 0\.interest: Extra inputs"),
    (Placed, Gift(order_id="1"), "step give returned Gift, and is declared to return Placed"),
    (int, "5", "step give returned str, and is declared to return int"),
    (str, "x" * 3_000_000, "result of step give: it is 3000002 bytes; at most 1572864"),
    (str, "no \ud800", "result of step give: text holds a lone surrogate"),
    (dict, {"amount": threading.Lock()}, "result of step give, at amount: must be a JSON value"),
    (float, float("nan"), "result of step give: .*finite"),
    (type(None), 5, "step give returned int, and is declared to return None"),
]


@pytest.mark.parametrize(("declared", "value", "reason"), RESULTS, ids=range(len(RESULTS)))
async def test_a_result_that_would_not_come_back_is_a_final_failure_and_nothing_is_kept(declared, value, reason):
    async def give(n: int) -> Any:
        return value

    async def give_in(n: int, tx: Transaction) -> Any:
        return value

    give.__annotations__["return"] = give_in.__annotations__["return"] = declared
    store = Memory()
    for function in (give, give_in):
        with pytest.raises(ApplicationError, match=reason) as caught:
            await ran(step(name="give")(function), payload_of(b"1"), store)
        assert (caught.value.type, caught.value.non_retryable) == ("WrongResult", True)
        assert len(caught.value.message) < 300
    assert store.kept == {}


async def test_an_argument_that_other_code_has_proven_is_tried_again_where_it_does_not_fit():
    @step
    async def pay(money: Money) -> None: ...

    for given in (payload_of(b'{"total":"1"}'), unmarked({"total": "1"})):
        with pytest.raises(ApplicationError, match=r"argument of step pay.*cannot be read: .*equired") as caught:
            await ran(pay, given)
        assert (caught.value.type, caught.value.non_retryable) == ("WrongArgument", False)


async def test_payloads_of_the_version_before_are_read_by_its_rules():
    @step
    async def pay(raw: bytes) -> bytes:
        return raw

    assert await ran(pay, unmarked(b"abc")) == b"abc"
    assert value_of(unmarked(b"abcd"), pay.result) == b"abcd"
    assert await ran(pay, proven(pay, b"\xff\x00")) == b"\xff\x00"


# -- arguments


@step
async def pay(money: Money) -> None: ...


@step
async def note(words: list[str]) -> None: ...


@pytest.fixture
def patched(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    asked: list[str] = []
    monkeypatch.setattr(calls.workflow, "patched", lambda name: asked.append(name) or True)
    return asked


@pytest.mark.parametrize(
    ("called", "argument", "reason"),
    [
        (pay, Rich(amount=Decimal(1)), "step pay takes Money, not Rich, whose own fields would be lost"),
        (pay, {"amount": 1}, "step pay takes Money, not dict"),
        (note, [1], "argument of step note, at 0: Input should be a valid string"),
        (note, threading.Lock(), "argument of step note: Input should be a valid list"),
    ],
)
def test_an_argument_of_another_type_is_a_bug_at_the_call(called, argument, reason, patched):
    with pytest.raises(TypeError, match=reason):
        proven(called, argument)
    assert patched == ["uno-proven-values"]


@pytest.mark.parametrize(
    ("argument", "reason"),
    [(["x" * 1_600_000], "argument of step note: it is 1600004 bytes; at most"), (["no \ud800"], "at 0: .* lone surrogate")],
)
def test_an_argument_that_cannot_travel_fails_the_step_for_good_before_it_is_called(argument, reason, patched):
    with pytest.raises(StepFailed, match=reason) as caught:
        proven(note, argument)
    assert (caught.value.step, caught.value.error_type) == ("note", "InvalidValue")


def test_an_argument_that_is_fine_asks_for_no_patch_and_a_run_of_the_version_before_goes_on(patched, monkeypatch):
    assert value_of(proven(note, ["a"]), note.argument) == ["a"]
    assert patched == []
    monkeypatch.setattr(calls.workflow, "patched", lambda name: False)
    travels = proven(pay, Rich(amount=Decimal(1)))
    assert travels.payload.data == b'{"amount":"1","interest":1.5}'
    assert value_of(travels, pay.argument) == Money(amount=Decimal(1))


class Noted(Event):
    text: str


def test_an_event_that_cannot_travel_fails_its_emit_for_good(patched):
    with pytest.raises(StepFailed, match="Noted: it is 1100011 bytes; at most 1048576"):
        calls._proven_event(Noted(text="x" * 1_100_000))
    with pytest.raises(StepFailed, match=r"Noted: it is \d+ bytes on its way"):
        calls._proven_event(Noted(text='"' * 500_000))
    with pytest.raises(InvalidEvent, match=r"Noted\.text: Input should be a valid string"):
        calls._proven_event(Noted.model_construct(text=5))
    assert calls._proven_event(Noted(text="a")) == '{"text":"a"}'


def test_the_result_of_other_code_is_named_where_it_does_not_fit():
    @step
    async def charge(n: int) -> Money: ...

    with pytest.raises(InvalidValue, match="result of step charge, at amount: cannot be read"):
        value_of(payload_of(b"{}"), charge.result)


def test_saga_and_its_bases_are_judged():
    class Base(Saga):
        words: list[str] = []

    class Fulfil(Base, starts_on=Placed, key="order_id"):
        money: Money | None = None

        async def run(self, order: Placed) -> None: ...

    with pytest.raises(DeclarationError, match="state 'money' of saga Fulfil: name 'Nowhere' is not defined"):
        type("Fulfil", (Base,), {"__annotations__": {"money": "Nowhere"}, "__module__": __name__}).judge()


def test_the_json_of_a_large_event_travels_as_bytes_and_is_read_as_the_version_before_wrote_it():
    for travelled in (b'{"a":"\\"\xc3\xa4"}', '{"a":"\\"ä"}'):
        assert text_of(unmarked(travelled)) == '{"a":"\\"ä"}'
