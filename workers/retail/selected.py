"""The part of the file that a run works on, read, classified and described; all of it before any server is started."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from workers.retail.arguments import Options
from workers.retail.classification import Classified, InvoiceKind, classify, warnings
from workers.retail.invoices import Selection, select
from workers.retail.reading import read_rows
from workers.retail.supply import Supply, daily_supply


@dataclass(frozen=True)
class Selected:
    """What is to be imported."""

    selection: Selection
    classified: tuple[Classified, ...]

    @classmethod
    def read(cls, options: Options) -> Selected:
        """Read the file.

        Raises:
            NotRetailData: it is none of this data set.
        """
        selection = select(read_rows(options.data), limit=options.limit, days=options.days)
        return cls(selection, tuple(classify(invoice) for invoice in selection.invoices))

    @cached_property
    def supplies(self) -> list[Supply]:
        """The deliveries, one per trading day that has any."""
        return daily_supply(self.classified)

    @property
    def sagas(self) -> int:
        """How many orders and returns there are: each is one run."""
        return sum(one.kind in (InvoiceKind.ORDER, InvoiceKind.RETURN) for one in self.classified)

    def title(self, options: Options) -> str:
        """What is imported, in words."""
        days = self.selection.trading_days
        if not days:
            return f"{options.data.name}: no invoices"
        part = "" if options.limit is None and options.days is None else "the first "
        span = f"{part}{len(days)} trading day{'s' if len(days) > 1 else ''}, {days[0]} to {days[-1]}"
        return f"{options.data.name}: {span}; {len(self.selection.invoices):,} invoices, {self.selection.rows_read:,} rows"

    def remarks(self) -> Iterator[str]:
        """What a person should know of the rows: malformed ones, unknown codes, odd signs."""
        for row in self.selection.malformed:
            yield f"line {row.line_number}: malformed and left out: {row.reason}"
        yield from warnings(self.classified)
