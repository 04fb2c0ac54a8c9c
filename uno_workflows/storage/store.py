"""The store as the app holds it: one database, one schema, every port of this room."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from uno_workflows.events.protocols import Measures
from uno_workflows.observability.outages import Outages
from uno_workflows.observability.unmeasured import UNMEASURED
from uno_workflows.storage.appending import Appending
from uno_workflows.storage.audits import PostgresAudits
from uno_workflows.storage.definitions import PostgresDefinitions
from uno_workflows.storage.migrations import check_schema
from uno_workflows.storage.notifier import Notifier
from uno_workflows.storage.pool import Database
from uno_workflows.storage.problems import PostgresProblems
from uno_workflows.storage.reading import Reading
from uno_workflows.storage.runs import PostgresRuns
from uno_workflows.storage.settings import StoreSettings
from uno_workflows.storage.signs import PostgresSigns
from uno_workflows.storage.statements import DEFAULT_SCHEMA
from uno_workflows.storage.steps import PostgresSteps
from uno_workflows.storage.subscriptions import PostgresSubscriptions
from uno_workflows.storage.tail import PostgresTail, Tails
from uno_workflows.storage.transactions import PROGRAM_LIMITS, Encode, PostgresTransaction, Transactions


class PostgresEvents(Appending, Reading):
    """See the port `EventStore`."""

    def __init__(self, database: Database, *, committed: Callable[[], None], measures: Measures) -> None:
        Appending.__init__(self, database, committed=committed, measures=measures)
        Reading.__init__(self, database)


class PostgresStore:
    """Events, checkpoints, runs and results of steps in one Postgres schema.

    `async with PostgresStore.open(dsn, encode=to_new_events) as store: …`

    Attributes:
        database: The connections; `doctor` examines them.
        events: The log (port `EventStore`).
        subscriptions: Checkpoints (port `Subscriptions`).
        definitions: What subscriptions read.
        runs: The table of runs (port `Runs`).
        steps: Results of transactional steps (port `StepStore`).
        audits: Compares the events that subscriptions handled with the log (port `DeliveryAudits`).
        problems: Why open runs cannot go on.
        signs: When pumps were last alive (port `Signs`).
    """

    def __init__(
        self,
        database: Database,
        notifier: Notifier,
        *,
        dsn: str,
        encode: Encode,
        outages: Outages,
        measures: Measures,
    ) -> None:
        self.database = database
        self._notifier = notifier
        self._tails = Tails(lambda: PostgresTail(database, dsn, outages=outages))
        self.events = PostgresEvents(database, committed=self._committed, measures=measures)
        transactions = Transactions(database, appending=self.events, encode=encode, committed=self._committed, measures=measures)
        self._transactions = transactions
        self.subscriptions = PostgresSubscriptions(database, transactions)
        self.definitions = PostgresDefinitions(database)
        self.runs = PostgresRuns(database, measures=measures)
        self.steps = PostgresSteps(database, transactions)
        self.audits = PostgresAudits(database)
        self.problems = PostgresProblems(database)
        self.signs = PostgresSigns(database)

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        dsn: str,
        *,
        encode: Encode,
        schema: str = DEFAULT_SCHEMA,
        settings: StoreSettings | None = None,
        outages: Outages | None = None,
        measures: Measures = UNMEASURED,
    ) -> AsyncIterator[PostgresStore]:
        """Connect to a migrated schema.

        Args:
            dsn: `postgresql://…`; `postgresql+asyncpg://…` is the same.
            encode: Turns events into bytes, for `Transaction.append`.
            outages: Where its tails say that Postgres does not answer; one that the whole process shares.
            measures: Told what is appended and how runs end.

        Raises:
            SchemaMismatch: the schema is not at this version's migration; `migrate` brings it there.
            ConfigurationError: the URL, the user or the database is wrong.
            StoreUnavailable: Postgres does not answer.
        """
        chosen = settings or StoreSettings()
        async with Database.open(dsn, schema=schema, settings=chosen) as database:
            with database.errors(opening=True):
                async with database.connection() as connection:
                    await check_schema(connection, schema=schema)
            notifier = Notifier(database, dsn)
            async with notifier.running():
                store = cls(database, notifier, dsn=dsn, encode=encode, outages=outages or Outages(), measures=measures)
                try:
                    yield store
                finally:
                    await store._end()

    async def _end(self) -> None:
        """Refuse new calls, end waiting readers, and give calls under way a moment; the notifier announces their commits."""
        self.database.lifetime.end()
        self._tails.end()
        await self.database.drain()

    def transaction(self) -> AbstractAsyncContextManager[PostgresTransaction]:
        """A transaction of the store's database, for a program's own changes and events together."""
        return self._transactions.open(PROGRAM_LIMITS)

    def tail(self) -> AbstractAsyncContextManager[PostgresTail]:
        """The end of the log, to be entered with `async with`; all readers of the store share one."""
        return self._tails.shared()

    def _committed(self) -> None:
        self._tails.wake()
        self._notifier.committed()
