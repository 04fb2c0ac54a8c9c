"""Names that reach Temporal from the settings and from the host fit into it."""

from __future__ import annotations

import socket

import pytest

from uno_workflows.app.connecting import connect_temporal, process_identity
from uno_workflows.config import Settings
from uno_workflows.events.errors import ConfigurationError
from uno_workflows.events.limits import IDENTITY, TEMPORAL_SQL_ID

STICKY = "-0123/projections-01234567-0123-0123-0123-0123456789ab"
"""What a worker, and the SDK for its sticky queue, append to the identity."""


def test_the_name_of_an_app_leaves_room_for_its_subscriptions():
    given = {"UNO_DATABASE_URL": "postgresql://x/y"}
    assert len(Settings.from_env({**given, "UNO_APP": "a" * 100}).app) == 100
    with pytest.raises(ConfigurationError, match="has 101 characters; at most 100"):
        Settings.from_env({**given, "UNO_APP": "a" * 101})


async def test_a_namespace_that_no_server_takes_is_refused_before_one_is_asked(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TEMPORAL_NAMESPACE", "n" * 256)
    monkeypatch.setenv("TEMPORAL_ADDRESS", "127.0.0.1:1")
    with pytest.raises(ConfigurationError, match="TEMPORAL_NAMESPACE is 256 bytes; at most 255"):
        await connect_temporal()


@pytest.mark.parametrize("host", ["h" * 253, "注" * 100, "odd\udcff\n"])
def test_the_identity_of_a_worker_on_a_host_with_a_long_name_fits(monkeypatch: pytest.MonkeyPatch, host: str):
    monkeypatch.setattr(socket, "gethostname", lambda: host)
    made = process_identity()
    assert len(made.encode()) <= IDENTITY.most
    assert made.isprintable()
    assert len((made + STICKY).encode()) <= TEMPORAL_SQL_ID.most
