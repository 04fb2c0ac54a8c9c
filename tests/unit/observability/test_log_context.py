"""What a log line knows of the run that it is about, by the run's id."""

from __future__ import annotations

from uno_workflows.events.names import workflow_id
from uno_workflows.observability.log_context import run_fields


def test_a_run_is_known_by_its_id() -> None:
    assert run_fields("Fulfil/acme/42@2", "Fulfil", run_id="r") == {
        "saga": "Fulfil",
        "saga_key": "42",
        "tenant": "acme",
        "generation": 2,
        "workflow_id": "Fulfil/acme/42@2",
        "run_id": "r",
    }


def test_a_run_whose_id_was_cut_is_known_by_its_saga_and_the_id() -> None:
    made = workflow_id("Fulfil", "x" * 300)
    assert run_fields(made, "Fulfil") == {"saga": "Fulfil", "workflow_id": made}


def test_a_workflow_that_is_no_saga_has_its_id_alone() -> None:
    assert run_fields("a/b/c/d", "a") == {"workflow_id": "a/b/c/d"}
    assert run_fields("cart", "Cart") == {"workflow_id": "cart"}
