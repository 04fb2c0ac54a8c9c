"""The `uno` command: a file a noun.

Exit codes: 0 done; 1 it could not be done, and the last line on stderr says why; 2 wrong usage or settings; 130
stopped at once, by Ctrl-C or a second signal. A worker that was told to stop and did so leaves with 0.
"""

from __future__ import annotations


def main() -> None:
    """Run the command line; the entry point `uno`."""
    from uno_workflows.tooling.cli.commands import run

    run()
