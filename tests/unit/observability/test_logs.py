"""Log lines: what they hold, what they never let through, and what they read like without configuration."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import suppress
from uuid import UUID

import pytest
from apps.listening import restored
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from structlog.contextvars import bound_contextvars

from uno_workflows.events.calls import CurrentStep, StepCall, running_step
from uno_workflows.events.limits import FIELD
from uno_workflows.observability.line import Line, line, spell
from uno_workflows.observability.log_format import Format, configure_logs
from uno_workflows.observability.logs import get_logger

log = get_logger("uno_workflows.test")
users = logging.getLogger("shop.steps")
FORGED = "x\n12:00:00.000 error   saga_bug: forged \x1b[31m\u202e\x9b2J"

Lines = Callable[[], list[dict[str, object]]]


@pytest.fixture
def logging_restored() -> Iterator[None]:
    with restored():
        yield


@pytest.fixture
def configured(logging_restored: None, capsys: pytest.CaptureFixture[str]) -> Callable[..., Lines]:
    """Configures JSON lines; the answer reads those written since."""

    def configure(*, format: Format = "json", **options: object) -> Lines:
        configure_logs(format=format, fields={"service": "shop", "build_id": "b1"}, **options)  # type: ignore[arg-type]  # tests give any
        return lambda: [json.loads(text) for text in capsys.readouterr().err.splitlines()]

    return configure


def _raised(error: Exception) -> Exception:
    """An error with a stack."""
    with suppress(type(error)):
        raise error
    return error


def test_a_json_line_says_what_when_and_where(configured: Callable[..., Lines]):
    lines = configured()
    log.warning("lease_lost", subscription="saga:Order", reason="frozen", nothing=None)
    (found,) = lines()
    assert list(found)[:6] == ["ts", "level", "event", "msg", "logger", "service"]
    assert str(found["ts"]).endswith("Z")
    assert len(str(found["ts"])) == len("2026-11-25T02:40:01.123Z")
    expected = {"level": "warning", "event": "lease_lost", "service": "shop", "build_id": "b1", "subscription": "saga:Order"}
    assert expected.items() <= found.items()
    assert {"version", "host", "pid"} <= set(found)
    assert "nothing" not in found


@pytest.mark.parametrize("format", ["json", "console"])
def test_no_value_can_forge_a_line(configured: Callable[..., Lines], capsys: pytest.CaptureFixture[str], format: Format):
    configured(format=format)
    log.warning("lease_lost", subscription=FORGED, reason=FORGED)
    users.warning(FORGED, extra={"amount": FORGED})
    users.error("%s", FORGED)
    text = capsys.readouterr().err
    assert len(text.splitlines()) == 3
    assert "\x1b" not in text
    assert "\x9b" not in text
    assert "\u202e" not in text


def test_a_stack_cannot_forge_a_line_either(configured: Callable[..., Lines], capsys: pytest.CaptureFixture[str]):
    configured(format="console")
    users.error("it failed", exc_info=_raised(ValueError(FORGED)))
    first, *stack = capsys.readouterr().err.splitlines()
    assert "error.type=ValueError" in first
    assert stack
    assert all(below.startswith("    ") and below.isprintable() for below in stack)


def test_an_error_is_three_fields(configured: Callable[..., Lines]):
    lines = configured()
    log.error("command_failed", error=KeyError("gone"))
    users.error("it failed", exc_info=_raised(KeyError("gone")))
    ours, theirs = lines()
    assert (ours["error.type"], ours["error.message"]) == ("KeyError", "'gone'")
    assert "error.stack" not in ours
    assert theirs["error.type"] == "KeyError"
    assert "test_logs.py" in str(theirs["error.stack"])


def test_records_of_others_go_through_the_same_format(configured: Callable[..., Lines]):
    lines = configured()
    users.info("paid %s", 3, extra={"amount": 3, "level": "mine", "day": UUID(int=0)})
    (found,) = lines()
    assert (found["event"], found["msg"], found["level"], found["logger"]) == ("log", "paid 3", "info", "shop.steps")
    assert (found["amount"], found["extra.level"], found["day"]) == (3, "mine", str(UUID(int=0)))


def test_a_line_within_a_step_carries_the_step(configured: Callable[..., Lines]):
    lines = configured()
    call = StepCall(key="Order/acme/4%2F2/charge#2", start_event_id=UUID(int=1), stream="order-1", correlation_id="c-1")
    with running_step(CurrentStep(call.key, 3, call)), bound_contextvars(batch=7):
        users.info("charging")
    (found,) = lines()
    expected = {"saga": "Order", "saga_key": "4/2", "tenant": "acme", "step": "charge", "attempt": 3, "correlation_id": "c-1"}
    assert {**expected, "idempotency_key": call.key, "batch": 7}.items() <= found.items()
    users.info("not in a step")
    assert "saga" not in lines()[0]


def test_a_line_within_a_span_carries_its_ids(configured: Callable[..., Lines]):
    lines = configured()
    with TracerProvider().get_tracer("test").start_as_current_span("work") as span:
        log.info("worker_ready")
    ids = span.get_span_context()
    (found,) = lines()
    assert found["trace_id"] == trace.format_trace_id(ids.trace_id)
    assert found["span_id"] == trace.format_span_id(ids.span_id)


@pytest.mark.parametrize(("kind", "names"), [("activity", ("step", "charge")), ("workflow", ("saga_key", "42"))])
def test_what_the_sdk_knows_of_a_record_comes_under_our_names(
    configured: Callable[..., Lines], kind: str, names: tuple[str, str]
):
    lines = configured()
    known = {"workflow_id": "Order/42", "workflow_type": "Order", "run_id": "r", "activity_type": "charge", "attempt": 2}
    logging.getLogger(f"temporalio.{kind}").warning("something", extra={f"temporal_{kind}": known})
    (found,) = lines()
    assert (found["saga"], found[names[0]]) == ("Order", names[1])
    assert f"temporal_{kind}" not in found


def test_a_plain_workflow_is_no_saga(configured: Callable[..., Lines]):
    lines = configured()
    known = {"workflow_id": "Order/42", "workflow_type": "Import", "run_id": "r"}
    logging.getLogger("temporalio.workflow").warning("something", extra={"temporal_workflow": known})
    assert "saga" not in lines()[0]


def test_a_bug_of_a_saga_is_told_once_a_run(configured: Callable[..., Lines]):
    lines = configured()
    sdk = logging.getLogger("temporalio.worker._workflow_instance")
    for run, message in (("r1", "a"), ("r1", "a"), ("r1", "b"), ("r2", "a"), ("r1", "a")):
        known = {"workflow_id": "Order/42", "workflow_type": "Order", "run_id": run}
        extra = {"temporal_workflow": known, "__temporal_error_identifier": "WorkflowTaskFailure"}
        sdk.warning("Failed activation on workflow", exc_info=KeyError(message), extra=extra)
    found = [(one["event"], one["saga_key"], one["run_id"], one["error.message"]) for one in lines()]
    assert found == [("saga_bug", "42", run, message) for run, message in (("r1", "'a'"), ("r1", "'b'"), ("r2", "'a'"))]


def test_the_sdk_is_silent_about_an_attempt_that_we_told(configured: Callable[..., Lines]):
    lines = configured()
    sdk = logging.getLogger("temporalio.activity")
    ours, theirs = ValueError("a step's"), ValueError("a plain activity's")
    ours.__dict__["uno_told"] = True
    for error in (ours, theirs):
        sdk.warning("Completing activity as failed", exc_info=error, extra={"__temporal_error_identifier": "ActivityFailure"})
    assert [one["error.message"] for one in lines()] == ["a plain activity's"]


def test_levels_are_those_asked_for(configured: Callable[..., Lines]):
    lines = configured(level="info", verbose=True)
    users.debug("no")
    users.info("yes")
    log.debug("step_done")
    logging.getLogger("temporalio.worker._worker").info("no")
    logging.getLogger("temporalio.activity").info("yes")
    assert [one["event"] for one in lines()] == ["log", "step_done", "log"]
    lines = configured(level="error")
    log.warning("lease_lost")
    users.warning("no")
    logging.getLogger("temporalio.worker._worker").warning("no")
    assert lines() == []


def test_unconfigured_it_is_a_plain_record_that_reads_well(caplog: pytest.LogCaptureFixture):
    log.warning("lease_lost", subscription="saga:Order", reason="it was frozen")
    (record,) = caplog.records
    assert record.getMessage() == "lease_lost subscription=saga:Order reason='it was frozen'"
    assert (record.name, record.levelname) == ("uno_workflows.test", "WARNING")
    assert not logging.getLogger("uno_workflows").handlers


def test_a_long_value_is_cut():
    assert len(spell("x" * 3 * FIELD.most)) < FIELD.most + 50
    made = line("step_failed", error=ValueError("y" * 3 * FIELD.most))
    assert len(made.fields["error.message"]) < FIELD.most + 50


@pytest.mark.parametrize(
    ("value", "spelt"), [("plain", "plain"), ("", "''"), ("a b", "'a b'"), ("a=b", "'a=b'"), (7, "7"), ("ü", "ü")]
)
def test_a_value_is_quoted_only_where_it_must_be(value: object, spelt: str):
    assert spell(value) == spelt


class Speechless(Exception):
    """Its text cannot be had."""

    def __str__(self) -> str:
        raise RuntimeError("no words")

    __repr__ = __str__


class Several:
    """As an array: what is compared with it has no one answer."""

    def __ne__(self, other: object) -> bool:
        raise ValueError("ambiguous")

    def __str__(self) -> str:
        return "[1 2]"


RING: list[object] = []
RING.append(RING)


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        (float("nan"), "nan"),
        ([1, float("inf")], "[1, inf]"),
        ({(1, 2): 3}, "{(1, 2): 3}"),
        (RING, "[[...]]"),
        (Several(), "[1 2]"),
        (Speechless(), "(Speechless, whose text cannot be had: RuntimeError)"),
        (2**70, str(2**70)),
        ({"a": [1, None]}, {"a": [1, None]}),
    ],
)
def test_every_value_becomes_json_that_every_reader_takes(
    configured: Callable[..., Lines], capsys: pytest.CaptureFixture[str], value: object, stored: object
):
    configured()
    users.info("odd", extra={"value": value})
    (text,) = capsys.readouterr().err.splitlines()
    assert json.loads(text, parse_constant=pytest.fail)["value"] == stored


def test_no_field_of_a_json_line_is_too_long(configured: Callable[..., Lines], capsys: pytest.CaptureFixture[str]):
    configured()
    users.info("huge", extra={"text": "x" * 3 * FIELD.most, "list": [1] * FIELD.most, "number": 10**4000})
    assert len(capsys.readouterr().err) < 4 * FIELD.most


def test_an_error_without_words_is_told_all_the_same(configured: Callable[..., Lines]):
    lines = configured()
    log.warning("outage_began", server="postgres", error=Speechless())
    known = {"workflow_id": "Order/42", "workflow_type": "Order", "run_id": "r1"}
    extra = {"temporal_workflow": known, "__temporal_error_identifier": "WorkflowTaskFailure"}
    logging.getLogger("temporalio.worker").warning("Failed activation", exc_info=Speechless(), extra=extra)
    assert [(one["event"], one["error.type"]) for one in lines()] == [
        ("outage_began", "Speechless"),
        ("saga_bug", "Speechless"),
    ]


def test_an_error_that_caused_itself_is_looked_through_once(configured: Callable[..., Lines]):
    lines = configured()
    error = ValueError("round")
    error.__cause__ = error
    extra = {"__temporal_error_identifier": "ActivityFailure"}
    logging.getLogger("temporalio.activity").warning("Completing activity as failed", exc_info=error, extra=extra)
    assert lines()[0]["error.message"] == "round"


def test_a_workflow_whose_id_only_looks_like_a_sagas_keeps_its_id(configured: Callable[..., Lines]):
    lines = configured()
    known = {"workflow_id": "Import/me@example.org", "workflow_type": "Import", "run_id": "r"}
    logging.getLogger("temporalio.workflow").warning("something", extra={"temporal_workflow": known})
    (found,) = lines()
    assert found["workflow_id"] == "Import/me@example.org"
    assert "saga" not in found


def test_a_debug_line_that_nobody_wants_is_not_even_made(configured: Callable[..., Lines], monkeypatch: pytest.MonkeyPatch):
    made: list[str] = []

    def seen(event: str, **fields: object) -> Line:
        made.append(event)
        return line(event, **fields)

    def refused(*_: object) -> None:
        raise AssertionError("a processor was asked about a line that is off")

    lines, name = configured(level="info"), "uno_workflows.test_quiet"
    monkeypatch.setattr("uno_workflows.observability.logs.line", seen)
    monkeypatch.setattr("structlog.stdlib.filter_by_level", refused)
    get_logger(name).debug("saga_started", saga="Order")
    monkeypatch.undo()
    assert (made, lines()) == ([], [])


def test_a_readable_line_shows_hostile_data_and_obeys_none_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(format="console")
    hostile = "[/v1/charge] \x1b[31m\nforged\u202e \x9b"
    logging.getLogger(hostile).warning(hostile, extra={"a\nb": hostile, "error.stack": 5})
    written = capsys.readouterr().err
    assert len(written.splitlines()) == 2  # the line, and the stack that is none
    assert not any(character in written for character in "\x1b\u202e\x9b")
    assert "[/v1/charge]" in written


class Willing(Exception):
    """It has every attribute that is asked for."""

    def __getattr__(self, name: str) -> object:
        return True


class Hostile(Exception):
    """Every attribute that is asked for ends the process."""

    def __getattribute__(self, name: str) -> object:
        raise SystemExit(3)


@pytest.mark.parametrize("kind", [Willing, Hostile])
def test_only_our_own_mark_silences_the_sdk(configured: Callable[..., Lines], kind: type[Exception]):
    lines = configured()
    error, extra = kind("heard"), {"__temporal_error_identifier": "ActivityFailure"}
    logging.getLogger("temporalio.activity").warning("Completing activity as failed", exc_info=(kind, error, None), extra=extra)
    assert [one["error.message"] for one in lines()] == ["heard"]
