"""The demo: `python -m workers.retail.demo`. A month of a wholesaler's invoices on real servers, proved to the last penny.

It starts a Postgres and a Temporal server, and as processes of their own a payment gateway, a warehouse and a worker; takes
the invoices in, waits until every saga has come to its end, and compares what is left with the file.
"""

from __future__ import annotations

from rich.console import Console

from workers.commands import run_and_leave
from workers.retail.arguments import Options, read_arguments
from workers.retail.reading import NotRetailData
from workers.retail.selected import Selected


def main() -> None:
    """Read the command line, run, and leave."""
    run_and_leave(demo(read_arguments()))


async def demo(options: Options) -> int:
    """Run the demo; returns the exit code."""
    errors = Console(stderr=True, highlight=False)
    try:
        selected = Selected.read(options)
    except NotRetailData as error:
        errors.print(f"demo: {error}", soft_wrap=True, markup=False)
        return 2
    for remark in selected.remarks():
        errors.print(remark, soft_wrap=True, markup=False)
    # Here and not above: Temporal and SQLAlchemy take a second to import, for which no one should wait to hear of a wrong file.
    from workers.retail.performance import perform

    return await perform(options, selected, errors)


if __name__ == "__main__":
    main()
