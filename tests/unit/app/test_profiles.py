"""That the times of a profile fit together, and with those of the other: workers of both may run side by side."""

from __future__ import annotations

from datetime import timedelta
from itertools import product

import pytest

from uno_workflows import Settings
from uno_workflows.app.profiles import PROFILES, Profile
from uno_workflows.config import ProfileName
from uno_workflows.dispatch.dispatcher import DispatchSettings
from uno_workflows.dispatch.subscription import PumpTimes
from uno_workflows.events.durations import duration
from uno_workflows.events.errors import ConfigurationError
from uno_workflows.events.retry import Retry
from uno_workflows.processing.pump import PumpSettings
from uno_workflows.sagas.calls import HEARTBEAT
from uno_workflows.storage.settings import StoreSettings

BOTH = PROFILES.values()
URL = "postgresql://me@host/db"


def test_every_name_that_can_be_set_has_its_times() -> None:
    assert set(PROFILES) == set(ProfileName)


@pytest.mark.parametrize("profile", BOTH)
def test_a_pump_that_froze_in_a_transaction_is_cut_off_before_its_heir_comes(profile: Profile) -> None:
    assert profile.pump_transaction < profile.pump_heartbeat


@pytest.mark.parametrize(("scheduling", "beating"), list(product(BOTH, BOTH)))
@pytest.mark.parametrize("what", ["pump_heartbeat", "step_heartbeat"])
def test_beats_arrive_in_time_even_when_another_profile_set_the_time(scheduling: Profile, beating: Profile, what: str) -> None:
    """A third of the time-out is left for the way, or, between two profiles, the fifth that the SDK itself leaves."""
    allowed = getattr(scheduling, what)
    sent_every = min(beating.throttle, allowed * 0.8)
    assert sent_every * (1.5 if scheduling is beating else 1.25) <= allowed


@pytest.mark.parametrize(("name", "aim"), [(ProfileName.DEFAULT, 15), (ProfileName.FAST, 5)])
def test_the_time_outs_after_a_kill_leave_room_in_the_time_aimed_at(name: ProfileName, aim: int) -> None:
    """Silence of the step, the wait before its next attempt, and that of its run for the worker that had it in its cache."""
    profile = PROFILES[name]
    assert profile.step_heartbeat + duration(Retry().initial) + profile.sticky < timedelta(seconds=aim)
    assert profile.pump_heartbeat + profile.pump_retry < timedelta(seconds=aim)


def test_what_is_taken_when_no_worker_says_is_the_default_profile() -> None:
    default = PROFILES[ProfileName.DEFAULT]
    assert default.pump_times == PumpTimes(task=default.workflow_task)
    assert default.step_heartbeat == HEARTBEAT
    assert default.longest_pause == PumpSettings().longest_pause == DispatchSettings().longest_pause
    store = StoreSettings()
    assert default.pump_transaction == timedelta(seconds=store.pump_timeout)
    assert default.step_idle == timedelta(seconds=store.step_idle)


def test_the_profile_is_a_setting_and_a_wrong_one_is_refused() -> None:
    assert Settings.from_env({"UNO_DATABASE_URL": URL, "UNO_PROFILE": "fast"}).profile is ProfileName.FAST
    with pytest.raises(ConfigurationError, match="UNO_PROFILE='quick': must be default or fast"):
        Settings.from_env({"UNO_DATABASE_URL": URL, "UNO_PROFILE": "quick"})
