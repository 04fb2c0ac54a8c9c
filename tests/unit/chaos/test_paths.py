"""Which paths ran is read from what the processes said."""

from __future__ import annotations

from pathlib import Path

from workers.bank.chaos.executions import each_has_one
from workers.bank.chaos.paths import NOTED, PATHS, count_paths

LOG = """\
22:54:00.077 info    worker_started: A worker has reached its servers and begins app=bank
22:54:01.000 warning outage_began: A server does not answer server=temporal part='TransferRequested at 7 to Transfer/a-1' x=1
22:54:01.100 debug   outage_goes_on: Another part met the same outage server=postgres part='tail of the log' error.type=X
22:54:01.200 debug   outage_goes_on: Another part met the same outage server=postgres part=saga:Transfer error.type=X
22:54:02.000 warning step_failed: An attempt of a step failed error.type=X step=debit outcome=retried
22:54:02.100 warning step_failed: An attempt of a step failed error.type=X step=uno.close outcome=retried
22:54:02.200 warning step_failed: An attempt of a step failed error.type=X step=uno.emit outcome='given up'
Traceback (most recent call last):
"""


def test_paths_are_counted_by_what_tells_of_them_and_those_that_never_ran_are_there(tmp_path: Path) -> None:
    (log := tmp_path / "worker-1.log").write_text(LOG)
    counted = count_paths([log], {"delivery late": 3, "run once": 9}, given_up=2)
    ran = {path: times for path, times in counted.items() if times}
    assert ran == {
        "outage: a delivery of the dispatcher, no Temporal": 1,
        "outage: the tail of the log, no Postgres": 1,
        "outage: the pump of a saga, no Postgres": 1,
        "retry: a step with tx": 1,
        "retry: the end mark": 1,
        "retry: an append, with the same ids, after all attempts": 2,
        "repeat: a delivery after the end": 3,
    }
    assert counted["retry: emit"] == 0
    assert len(counted) == len(PATHS)


def test_what_is_noted_is_a_path() -> None:
    assert set(NOTED.values()) <= {path.name for path in PATHS}


def test_a_second_run_of_a_workflow_id_is_found() -> None:
    [finding] = each_has_one({"Transfer/a-1": 1, "Transfer/a-2": 2})
    assert (finding.invariant, finding.where, finding.seen) == ("I5", "Transfer/a-2", "2 runs")
