"""What a database URL may look like."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uno_workflows import ConfigurationError
from uno_workflows.events.database_urls import database_url_fault
from uno_workflows.storage.dsn import plain_dsn


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://host/db",
        "postgres://u:p%40@host:5432/db?sslmode=require",
        "postgresql+asyncpg://u@host/db",
        "postgresql://h1:5433,h2:5434/db?target_session_attrs=primary",
        "postgresql://[::1]/db",
        "postgresql:///db?host=/tmp",
        "postgresql://host:/db",
        "postgresql://?host=/tmp",
        "postgresql://host/db?client_encoding=UTF8",
    ],
)
def test_a_url_that_asyncpg_takes_is_taken(url: str):
    assert database_url_fault(url) is None
    assert plain_dsn(url).startswith("postgresql://")


def test_an_ipv6_address_among_several_hosts_is_taken_where_python_takes_it():
    """asyncpg splits URLs by urllib, which refuses this one from some security release of each Python on."""
    url = "postgresql://u:p@h1,h2,[::1]:5432/db"
    try:
        urlsplit(url)
    except ValueError:
        assert "is no address" in str(database_url_fault(url))
    else:
        assert database_url_fault(url) is None
        assert plain_dsn(url) == url


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("", "must begin with postgresql://"),
        ("mysql://h/d", "must begin with postgresql://"),
        ("postgresql://", "names neither a host nor a database"),
        ("postgresql://h:port/d", "check the port"),
        ("postgresql://h:0/d", "check the port"),
        ("postgresql://h:65536/d", "check the port"),
        ("postgresql://h1:1,h2:x/d", "check the port"),
        ("postgresql://h1,/d", "check the port"),
        ("postgresql://[::1/d", "check the port"),
        ("postgresql://h/d?sslmode", "check the port"),
        ("postgresql://h/d\0", "control character"),
        ("postgresql://h/d\n", "control character"),
        ("postgresql://h/d%00", "holds %00"),
        ("postgresql://u:p%00@h/d", "holds %00"),
        ("postgresql://h/d?client_encoding=latin1", "leave it out"),
    ],
)
def test_another_one_is_refused_with_a_reason(url: str, reason: str):
    assert reason in (database_url_fault(url) or "")
    with pytest.raises(ConfigurationError, match=r"^the database URL "):
        plain_dsn(url)


@given(st.text(max_size=40), st.sampled_from(["", "u:s3cret@", "s3cret:", "s3cret@h:"]))
def test_whatever_the_url_is_the_reason_shows_nothing_of_it(rest: str, secret: str):
    fault = database_url_fault(f"postgresql://{secret}{rest}")
    assert "s3cret" not in (fault or "")
