"""Which modules pass through Temporal's sandbox, and which are loaded anew for each run (DESIGN D7, ADR 0007).

Sagas, and the bases they inherit from, stay sandboxed: there the clock, randomness and I/O are refused. The framework, installed
libraries, and the user's modules that define events, steps or projections but no saga pass through: they are either data or run
outside of the workflow, and loading them anew would cost 10 ms a run and break libraries that bear it only once.
"""

from __future__ import annotations

import sys
from types import ModuleType

from temporalio.worker import WorkflowRunner
from temporalio.worker.workflow_sandbox import SandboxRestrictions

from uno_workflows.app.catalogue import Catalogue
from uno_workflows.app.guarded import GuardedRunner, GuardedSandbox
from uno_workflows.app.task_failures import TaskFailures
from uno_workflows.events.base import Event
from uno_workflows.projections.projection import Projection
from uno_workflows.sagas.saga import Saga
from uno_workflows.sagas.steps import Step


def workflow_runner(catalogue: Catalogue, *, sandbox: bool, failures: TaskFailures | None = None) -> WorkflowRunner:
    """The runner of the app's workflows.

    Args:
        sandbox: False for no sandbox.
        failures: Gets a report of each workflow task that fails.
    """
    failures = failures or TaskFailures()
    if not sandbox:
        return GuardedRunner(failures)
    passed = SandboxRestrictions.default.with_passthrough_modules(*passed_through(catalogue))
    return GuardedSandbox(restrictions=passed, failures=failures)


def passed_through(catalogue: Catalogue) -> set[str]:
    """Names of the modules that pass through. A package that holds a saga anywhere cannot, because its name would cover it."""
    workflows = {cls.__module__ for cls in (*catalogue.sagas.values(), *catalogue.workflows.values())}
    workflows |= {m.__name__ for m in catalogue.modules if _defines(m, (Saga,))}  # also bases: sagas inherit their code
    data = {m.__name__ for m in catalogue.modules if _defines(m, (Event, Projection)) or _defines_step(m)}
    ours = {"uno_workflows", "opentelemetry"}  # a namespace has no file to be found by; a copy of it would know no provider
    return ours | _installed(workflows) | {name for name in data if not _covers(name, workflows)}


def _defines(module: ModuleType, bases: tuple[type, ...]) -> bool:
    """Whether a class of this kind stands in the module; what it only imports says nothing of its own code."""
    return any(
        isinstance(value, type) and issubclass(value, bases) and value.__module__ == module.__name__
        for value in vars(module).values()
    )


def _defines_step(module: ModuleType) -> bool:
    return any(isinstance(value, Step) and value.function.__module__ == module.__name__ for value in list(vars(module).values()))


def _covers(name: str, workflows: set[str]) -> bool:
    return any(workflow == name or workflow.startswith(name + ".") for workflow in workflows)


def _installed(workflows: set[str]) -> set[str]:
    """Top-level names of loaded libraries; the SDK already passes the standard library through, with its guards."""
    found = set()
    for name, module in list(sys.modules.items()):
        if "." in name or name in sys.stdlib_module_names or _covers(name, workflows):
            continue
        origin = getattr(getattr(module, "__spec__", None), "origin", None) or ""
        if "site-packages" in origin or "dist-packages" in origin:
            found.add(name)
    return found
