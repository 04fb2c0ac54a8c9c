"""The memory of transactional steps: the effect, the result and the events of a step commit together, once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta

from uno_workflows.events.calls import StepCall
from uno_workflows.events.errors import RunUndone, StepSuperseded
from uno_workflows.events.protocols import Transaction
from uno_workflows.storage.handles import SqlalchemyHandle
from uno_workflows.storage.own_statements import hold
from uno_workflows.storage.pool import Database
from uno_workflows.storage.transactions import PROGRAM_LIMITS, Transactions


class PostgresSteps:
    """See the port `StepStore`."""

    def __init__(self, database: Database, transactions: Transactions) -> None:
        self._database = database
        self._transactions = transactions

    async def run_once(self, call: StepCall, work: Callable[[Transaction], Awaitable[bytes]]) -> bytes:
        """Run `work` in a transaction and store its result under the call's key; a repeat returns the stored result.

        It claims the key first. A second attempt waits for the first one. Then it returns its result, or does the work itself if
        the first one was rolled back.

        Raises:
            RunUndone: the call goes forward, and its run is being undone or was; then a stored result is not returned either.
            StoreContended: another attempt has been at work for longer than a transaction may wait.
            StoreUnavailable: the connection was lost; the next attempt finds out whether this one committed.
        """
        sql, idle = self._database.statements, timedelta(seconds=self._database.settings.step_idle)
        async with self._transactions.open(replace(PROGRAM_LIMITS, idle=idle), call=call) as tx:
            own = SqlalchemyHandle(tx.connection)
            with self._database.errors():
                run = None if call.undo else call.workflow_id
                claimed = (await own.fetch(sql["claim_step"], key=call.key, tenant=call.tenant, run=run))[0][0]
                if claimed == "undone":
                    raise RunUndone(call.workflow_id, "")
                if claimed == "known":
                    stored = await own.fetch(sql["step_result"], key=call.key)
                    if not stored or stored[0][0] is None:
                        raise StepSuperseded(f"step {call.key}: its stored result went away while it was looked for")
                    return bytes(stored[0][0])
            hold(tx.connection)
            result = await work(tx)
            with self._database.errors():
                await own.fetch(sql["keep_step_result"], key=call.key, result=result)
        return result
