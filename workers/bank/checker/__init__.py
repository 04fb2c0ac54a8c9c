"""The invariants of the bank, which hold whatever happens to its processes (ADR 0012).

The checker reads three sources that cannot lie: the log, the tables, and the ledgers in which writers noted each attempt and its
answer. It uses no reader of the product. The numbers are those of the invariants:

    I1      acknowledged events are there, refused ones are not, unknown ones become known
              appends.acknowledged_events_are_there, refused_events_are_not_there, events_were_tried, ids_are_unique;
              end: tries_are_settled
    I2      versions 1 to n, expected versions honoured
              appends.versions_have_no_holes, expected_versions_were_honoured
    I3, I4  nothing is passed unseen, nothing comes behind a checkpoint
              delivery.starts_have_their_run, checkpoints_are_of_this_log, and I12
    I5      one start, one run
              delivery.starts_have_their_run, runs_have_their_start; end: late_events_were_not_read, and chaos.executions
    I6      all done, or all undone in reverse, as the fate says; money conserved
              money.money_is_conserved, undos_follow_what_they_undo, transfers.ends_come_once
              end: transfers.transfers_ended_as_foretold, transfers_are_whole_or_nothing, undos_run_in_reverse
    I7      no undo while a sibling is in flight
              keys.undos_wait_for_siblings
    I8      what was cancelled in time never completes
              end: transfers.transfers_ended_as_foretold
    I9      one key, one effect, and a step's effect, event and result are one
              keys.keys_are_those_of_their_step, keys_have_one_effect, events_have_the_ids_of_their_step,
              money.steps_post_once, postings_have_their_event
    I11     an event is read, waits, is late, or is halted at with a name
              delivery.early_events_wait, late_events_are_of_the_log, halts_have_a_name;
              end: events_came_to_an_end, late_events_were_not_read
    I12     read models are folds of the log up to their checkpoints
              money.balances_are_a_fold, states_are_a_fold
    I13     connections and locks are bounded
              bounds.samples_are_bounded, of samples that the supervisor takes
    I18     what can be written can be read
              end: encoding.events_can_be_read
    I19     nothing is left to be done
              end: delivery.nothing_is_left
    I20     a page claims only what it scanned
              delivery.checkpoints_are_of_this_log, pages_claim_what_is_there

Those marked "end" hold once writers have ended and no work is left, the others at any moment.

Not checked here: I10 (old histories replay) concerns code, not runs: see tests/replay. I13's memory is known to the operating
system, not to a table. I14 to I17 (tenants, sealing, forgetting, the audit chain) do not exist in the product yet. The tables
cannot show that a start made one run *in Temporal* (I5), because a second run has the same keys and does nothing twice: a chaos
run asks Temporal how many runs each id had (`chaos.executions`). A bug, eviction or shutdown that undoes something (I7) shows as
I6: a settled fate would be reversed.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from workers.bank.checker import appends, delivery, encoding, keys, money, transfers
from workers.bank.checker.findings import Finding as Finding
from workers.bank.checker.snapshot import Snapshot, take

Check = Callable[[Snapshot], Iterator[Finding]]

ALWAYS: Final[tuple[Check, ...]] = (
    appends.acknowledged_events_are_there,
    appends.refused_events_are_not_there,
    appends.events_were_tried,
    appends.ids_are_unique,
    appends.versions_have_no_holes,
    appends.expected_versions_were_honoured,
    delivery.starts_have_their_run,
    delivery.runs_have_their_start,
    delivery.early_events_wait,
    delivery.late_events_are_of_the_log,
    delivery.halts_have_a_name,
    delivery.checkpoints_are_of_this_log,
    delivery.pages_claim_what_is_there,
    money.balances_are_a_fold,
    money.states_are_a_fold,
    money.postings_have_their_event,
    money.steps_post_once,
    money.money_is_conserved,
    money.undos_follow_what_they_undo,
    keys.keys_are_those_of_their_step,
    keys.keys_have_one_effect,
    keys.events_have_the_ids_of_their_step,
    keys.undos_wait_for_siblings,
    transfers.ends_come_once,
)
"""Those that hold at any moment."""
AT_THE_END: Final[tuple[Check, ...]] = (
    appends.tries_are_settled,
    delivery.events_came_to_an_end,
    delivery.late_events_were_not_read,
    delivery.nothing_is_left,
    transfers.transfers_ended_as_foretold,
    transfers.transfers_are_whole_or_nothing,
    transfers.undos_run_in_reverse,
    encoding.events_can_be_read,
)
"""Those that hold once writers have ended and nothing is left to be done."""


async def check(dsn: str, *, ledgers: Path, settled: bool) -> list[Finding]:
    """Look for what is not as it must be.

    Args:
        dsn: The bank's database, reached without any fault in between. The clearing house is taken to be in it.
        ledgers: The folder of the writers' ledgers, `*.jsonl`; one file is taken as well.
        settled: Whether everything should have come to its end. Without it, the look may be taken at any moment.

    Raises:
        OSError, asyncpg.PostgresError, asyncpg.InterfaceError: the database cannot be asked; that is no finding.
    """
    seen = await take(dsn, ledgers)
    return [finding for look in (*ALWAYS, *(AT_THE_END if settled else ())) for finding in look(seen)]
