"""The `uno` command: a file a noun.

Exit codes: 0 done; 1 it could not be done, and the last line on stderr says why; 2 wrong usage or settings; 130
stopped at once, by Ctrl-C or a second signal. A worker that was told to stop and did so leaves with 0.
"""

from __future__ import annotations


def main() -> None:
    """Run the command line; the entry point `uno`."""
    from uno_workflows.tooling.leaving import STOPPED_AT_ONCE, leave
    from uno_workflows.tooling.streams import settle_streams

    try:
        settle_streams()
        from uno_workflows.tooling.cli.commands import code_of_command

        code = code_of_command()
    except KeyboardInterrupt:  # while the libraries load, which takes a second
        code = STOPPED_AT_ONCE
    leave(code)
