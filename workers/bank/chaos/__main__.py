"""`scripts/chaos`, or `python -m workers.bank.chaos`."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import traceback
from collections.abc import Sequence
from pathlib import Path

from uno_workflows.devstack import commons
from uno_workflows.tooling.leaving import leave
from workers.bank.chaos.arguments import Options, read_arguments
from workers.bank.chaos.plan import ALL_KINDS, draw
from workers.bank.chaos.report import markdown, verdict
from workers.commands import INTERRUPTED, TERMINATED, exit_code

WORKERS = 3
"""A process that restarts must not leave the others alone for long."""
POSTGRES = "postgres"
"""The folder of its server, in that of a run."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the command line, run, and leave with the exit code that the help tells of."""
    options = read_arguments(arguments)
    folder = _folder(options)
    try:
        code = exit_code(chaos(options, folder))
    except Exception as error:
        traceback.print_exception(leaf := _leaf(error))
        _say(f"the run itself failed: {leaf}")
        code = 1
    if code in (INTERRUPTED, TERMINATED):
        _say("interrupted; everything that was started has been stopped")
        code = INTERRUPTED
    if options.keep is None and code != 1:
        remove(folder)
    else:
        _say(f"plan, logs, ledgers and data are in {folder}")
    leave(code)


async def chaos(options: Options, folder: Path) -> int:
    """Do one run and tell of it; returns the exit code."""
    # Here and not above: it takes a second to import, for which nobody should wait to hear of a wrong argument.
    from uno_workflows.observability.core_logs import forward_core_logs
    from workers.bank.chaos.run import run

    forward_core_logs()  # else Temporal's core writes what it retries into the output
    plan = draw(
        options.seed,
        faults=options.faults,
        seconds=options.seconds,
        sagas=options.sagas,
        workers=WORKERS,
        open=options.open,
        crashes=options.crashes,
    )
    if options.faults < len(ALL_KINDS):
        _say(f"{options.faults} faults are fewer than the {len(ALL_KINDS)} kinds: not every kind will come")
    _say(f"seed {options.seed}: {options.faults} faults in {options.seconds:g} s")
    report = await run(plan, folder=folder, say=_say)
    for line in verdict(report):
        _say(line)
    if report.findings:
        _say(f"run it again with: {options.command}")
    if options.report is not None:
        options.report.write_text(markdown(report, options.command), encoding="utf-8")
    if options.json:
        print(json.dumps(report.as_dict()))
    return 1 if report.findings else 0


def _leaf(error: BaseException) -> BaseException:
    """What went wrong, without the groups around it."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _folder(options: Options) -> Path:
    if options.keep is None:
        return Path(tempfile.mkdtemp(prefix="uno-chaos-"))
    options.keep.mkdir(parents=True, exist_ok=True)
    return options.keep.absolute()


def remove(folder: Path) -> None:
    """Remove what a run made, also where Postgres could not live in its folder (`devstack.placement`)."""
    pointer = commons.pointer(folder / POSTGRES)
    if pointer.exists():
        shutil.rmtree(pointer.read_text(encoding="utf-8"), ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
