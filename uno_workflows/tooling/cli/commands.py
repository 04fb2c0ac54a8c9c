"""Every command, put together."""

from __future__ import annotations

import sys
from contextlib import suppress

import typer

from uno_workflows.tooling.cli import audit, dev, doctor, migrate, sagas, subscriptions, worker
from uno_workflows.tooling.cli.ending import WRONG_USAGE, ending
from uno_workflows.tooling.cli.running import complain

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


def code_of_command() -> int:
    """Run the command that the command line names; returns its exit code, after writing all its output."""
    for word in sys.argv[1:]:
        if (odd := word.encode(errors="replace").decode()) != word:  # bytes that are not UTF-8, which neither server stores
            complain(f"the argument {odd!r} is not text in UTF-8")
            return WRONG_USAGE
    try:
        code = app(standalone_mode=False, prog_name="uno")  # outside of its own main, click returns the code of an Exit
        sys.stdout.flush()
    except BaseException as err:  # a module of the user's may raise anything
        if (show := getattr(err, "show", None)) is not None:  # a ClickException, of the click that typer carries
            with suppress(OSError):
                show()
            return WRONG_USAGE
        code, sentences = ending(err)
        for sentence in sentences:
            complain(sentence)
    return code if isinstance(code, int) else 0
