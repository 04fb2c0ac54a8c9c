"""Every command, put together."""

from __future__ import annotations

import os
import sys

import typer

from uno_workflows.events.errors import ConfigurationError, UnoError
from uno_workflows.tooling.cli import dev, doctor, migrate, sagas, subscriptions, worker

app = typer.Typer(
    name="uno",
    help="Business events in Postgres drive durable Temporal workflows.",
    epilog="Settings come from the environment: UNO_DATABASE_URL, TEMPORAL_ADDRESS, … `uno doctor` says what is wrong with them.",
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


def run() -> None:
    """Run a command, and leave with its exit code.

    The process leaves by `os._exit` after flushing: with Temporal's bridge loaded, the interpreter's own way out crashes now
    and then (8 of 120 here; sdk-python issue 300), after all work is done.
    """
    leave(_code())


def _code() -> int:
    try:
        app(standalone_mode=False)
    except ConfigurationError as err:
        for problem in err.problems:
            print(f"uno: {problem}", file=sys.stderr)
        return 2
    except UnoError as err:
        print(f"uno: {err}", file=sys.stderr)
        return 1
    except typer.Exit as exit_:
        return exit_.exit_code
    except typer.Abort:
        return 130
    except KeyboardInterrupt:
        return 130
    except Exception as err:
        show = getattr(err, "show", None)  # a ClickException: wrong usage (typer carries a click of its own, so no class to name)
        if show is None:
            raise
        show()
        return 2
    return 0


def leave(code: int) -> None:
    """Flush what was said, and end the process."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
