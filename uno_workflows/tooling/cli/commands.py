"""Every command, put together."""

from __future__ import annotations

import typer
from temporalio.service import RPCError

from uno_workflows.events.errors import ConfigurationError, UnoError
from uno_workflows.tooling.cli import audit, dev, doctor, migrate, sagas, subscriptions, worker
from uno_workflows.tooling.cli.running import STOPPED_AT_ONCE, complain
from uno_workflows.tooling.leaving import leave

app = typer.Typer(
    name="uno",
    help="Business events in Postgres drive durable Temporal workflows.",
    epilog="Example, from nothing to a running shop: uno dev shop. Settings come from the environment: UNO_DATABASE_URL, "
    "TEMPORAL_ADDRESS, … `uno doctor` says what is wrong with them.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("dev")(dev.dev)
app.command("worker")(worker.worker)
app.command("migrate")(migrate.migrate)
app.command("doctor")(doctor.doctor)
app.add_typer(sagas.app, name="sagas")
app.add_typer(subscriptions.app, name="subscriptions")
app.add_typer(audit.app, name="audit")


def run() -> None:
    """Run a command, and leave with its exit code."""
    leave(_code())


def _code() -> int:
    try:
        code = app(standalone_mode=False, prog_name="uno")  # outside of its own main, click returns the code of an Exit
    except ConfigurationError as err:
        for problem in err.problems:
            complain(problem)
        return 2
    except UnoError as err:
        complain(str(err))
        return 1
    except RPCError as err:
        complain(f"Temporal answers {err.status.name}: {err.message}")
        return 1
    except (typer.Abort, KeyboardInterrupt):
        return STOPPED_AT_ONCE
    except Exception as err:
        show = getattr(err, "show", None)  # a ClickException: wrong usage (typer carries a click of its own, so no class to name)
        if show is None:
            raise
        show()
        return 2
    return code if isinstance(code, int) else 0
