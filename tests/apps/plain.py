"""Plain Temporal code, with an activity that is not async."""

import threading
from datetime import timedelta

from temporalio import activity, workflow


@activity.defn
def double(number: int) -> int:
    assert threading.current_thread() is not threading.main_thread()
    return 2 * number


@workflow.defn
class Doubling:
    @workflow.run
    async def run(self, number: int) -> int:
        return await workflow.execute_activity(double, number, start_to_close_timeout=timedelta(seconds=10))
