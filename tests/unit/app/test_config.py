"""What settings are refused, all at once, and that no password is shown."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from uno_workflows import Settings
from uno_workflows.config import ProfileName, check_temporal_config_file, traces_wanted, variables
from uno_workflows.events.errors import ConfigurationError

URL = "postgresql://me:s3cret@host/db"


def problems(**environ: str) -> tuple[str, ...]:
    with pytest.raises(ConfigurationError) as caught:
        Settings.from_env(environ)
    return caught.value.problems


@pytest.mark.parametrize(
    ("variable", "text", "reason"),
    [
        ("UNO_POLL", "0s", "must be from 50ms to 5s"),
        ("UNO_POLL", "49ms", "must be from 50ms to 5s"),
        ("UNO_POLL", "6s", "must be from 50ms to 5s"),
        ("UNO_APP", "shop.dispatch", "it would be a task queue of the app 'shop'"),
        ("UNO_APP", "shop.projections", "it would be a task queue of the app 'shop'"),
        ("UNO_PAGE", "10001", "must be a whole number from 1 to 10,000"),
        ("UNO_PAGE", "1" * 5_000, "must be a whole number from 1 to 10,000"),
        ("UNO_GRACE", "11 minutes", "must be from 0s to 10 minutes"),
        ("UNO_LEASE", "6 minutes", "must be from 1s to 5 minutes"),
        ("UNO_DATABASE_URL", "mysql://me:s3cret@host/db", "must begin with postgresql://"),
        ("UNO_DATABASE_URL", "postgresql://", "names neither a host nor a database"),
        ("UNO_DATABASE_URL", "postgresql://me:s3cret@", "names neither a host nor a database"),
        ("UNO_DATABASE_URL", "postgresql://me:s3cret@h:notaport/x", "is no address: check the port"),
        ("UNO_DATABASE_URL", "postgresql://me:s3cret/ww@host/db", "is no address: check the port"),
        ("UNO_DATABASE_URL", "postgresql://me:s3cret@[::1/db", "is no address: check the port"),
        ("UNO_LISTEN_URL", "postgresql://h:notaport/x", "is no address: check the port"),
        ("UNO_MONITOR", "9464", "must be an address and a port, such as 127.0.0.1:9464"),
        ("UNO_MONITOR", "localhost:9464", "must be an address and a port"),
        ("UNO_MONITOR", "127.0.0.1", "must be an address and a port"),
        ("UNO_MONITOR", "127.0.0.1:", "must end in a port from 0 (any) to 65535"),
        ("UNO_MONITOR", "127.0.0.1:65536", "must end in a port from 0 (any) to 65535"),
        ("UNO_MONITOR", "::1:9464", "must end in a port from 0 (any) to 65535"),
        ("UNO_MONITOR", "[127.0.0.1]:9464", "must end in a port from 0 (any) to 65535"),
    ],
)
def test_setting_is_refused_with_the_reason(variable: str, text: str, reason: str):
    (problem,) = problems(**{"UNO_DATABASE_URL": URL, variable: text})
    assert problem.startswith(variable)
    assert reason in problem
    assert "s3cret" not in problem


def test_all_problems_are_said_at_once_and_a_missing_address_is_one_of_them():
    found = problems(UNO_POLL="1ms", UNO_PAGE="0", UNO_POOL_SISE="3")
    named = [problem.partition("=")[0].partition(" ")[0] for problem in found]
    assert named == ["UNO_POLL", "UNO_PAGE", "UNO_POOL_SISE", "UNO_DATABASE_URL"]


@pytest.mark.parametrize(
    "url",
    [
        URL,
        "postgres://host",
        "postgresql:///db",
        "postgresql:///db?host=/run/postgresql",
        "postgresql+asyncpg://me@[::1]:5432/db",
    ],
)
def test_addresses_that_postgres_takes_are_taken(url: str):
    assert Settings.from_env({"UNO_DATABASE_URL": url}).database_url == url


def test_bounds_themselves_and_defaults_are_taken():
    made = Settings.from_env({"UNO_DATABASE_URL": URL, "UNO_POLL": "50ms", "UNO_PAGE": "10000", "UNO_GRACE": "0s"})
    assert (made.poll, made.page, made.grace) == (timedelta(milliseconds=50), 10_000, timedelta(0))
    spelt = {name: default for name, (default, _) in variables().items() if default}
    assert Settings.from_env({**spelt, "UNO_DATABASE_URL": URL}) == Settings(database_url=URL)


ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}


@pytest.mark.parametrize(
    ("environ", "wanted"),
    [
        ({}, False),
        ({"OTEL_SERVICE_NAME": "shop"}, False),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, True),
        (ENDPOINT, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:4318/v1/traces"}, True),
        ({**ENDPOINT, "OTEL_TRACES_EXPORTER": "none"}, False),
        ({**ENDPOINT, "OTEL_SDK_DISABLED": "true"}, False),
        ({**ENDPOINT, "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}, True),
    ],
)
def test_traces_are_exported_when_the_variables_of_opentelemetry_ask_for_it(environ: dict[str, str], wanted: bool) -> None:
    assert traces_wanted(environ) is wanted


@pytest.mark.parametrize(
    "environ",
    [
        {"OTEL_TRACES_EXPORTER": "zipkin"},
        {**ENDPOINT, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
        {**ENDPOINT, "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/json"},
    ],
)
def test_an_exporter_or_a_protocol_that_there_is_not_is_refused(environ: dict[str, str]) -> None:
    value = list(environ.values())[-1]
    with pytest.raises(ConfigurationError, match=value):
        traces_wanted(environ)


def test_an_unknown_variable_is_named_on_one_line():
    with pytest.raises(ConfigurationError, match=r"^UNO_X\\n\\x1b\[31m is not a setting$"):
        Settings.from_env({"UNO_DATABASE_URL": "postgresql://h/x", "UNO_X\n\x1b[31m": "1"})


def test_a_temporal_config_file_that_is_not_there_is_refused_by_name(tmp_path: Path):
    check_temporal_config_file({})
    check_temporal_config_file({"TEMPORAL_CONFIG_FILE": ""})
    (tmp_path / "there.toml").touch()
    check_temporal_config_file({"TEMPORAL_CONFIG_FILE": str(tmp_path / "there.toml")})
    for wrong, reason in ((str(tmp_path / "none"), "No such file"), (str(tmp_path), "Is a directory"), ("a\0", "no path")):
        with pytest.raises(ConfigurationError, match=f"TEMPORAL_CONFIG_FILE=.* cannot be read: {reason}"):
            check_temporal_config_file({"TEMPORAL_CONFIG_FILE": wrong})


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"database_url": 5}, r"database_url: must be text, not int"),
        ({"database_url": b"postgresql://h/x"}, r"database_url: must be text, not bytes"),
        ({"database_url": "mysql://me:s3cret@host/db"}, r"database_url: must begin with postgresql://"),
        ({"database_url": "postgresql://h/x\0"}, r"database_url: holds a control character"),
        ({"listen_url": "postgresql://me:s3cret@h:port/x"}, r"listen_url: is no address"),
        ({"schema": "Public"}, r"schema='Public': must be 1 to 63"),
        ({"schema": "s" * 64}, r"schema='s+': must be 1 to 63"),
        ({"schema": None}, r"schema=None: must be text"),
        ({"app": ""}, r"app='': app '': a name is"),
        ({"app": "a\0"}, r"app='a.*': app .*: a name is"),
        ({"app": "a" * 101}, r"app='a+': has 101 characters; at most 100"),
        ({"app": 7}, r"app=7: must be text, not int"),
        ({"pool_size": "10"}, r"pool_size='10': must be a whole number, not str"),
        ({"pool_size": 0}, r"pool_size=0: must be a whole number from 1"),
        ({"pool_size": True}, r"pool_size=True: must be a whole number, not bool"),
        ({"pool_size": -1}, r"pool_size=-1: must be a whole number from 1"),
        ({"steps": 1.5}, r"steps=1\.5: must be a whole number, not float"),
        ({"sandbox": "no"}, r"sandbox='no': must be True or False, not str"),
        ({"sandbox": 0}, r"sandbox=0: must be True or False, not int"),
        ({"profile": "slow"}, r"profile='slow': must be default or fast"),
        ({"profile": 1}, r"profile=1: must be text, not int"),
        ({"poll": 0.5}, r"poll=0\.5: must be a timedelta, or text such as '30s', not float"),
        ({"poll": timedelta(0)}, r"poll=.*: must be from 50ms to 5s"),
        ({"grace": timedelta(seconds=-1)}, r"grace=.*: "),
        ({"log_level": "loud"}, r"log_level='loud': must be one of"),
        ({"monitor": "127.0.0.1:9464"}, r"monitor='127.0.0.1:9464': must be an address and a port"),
        ({"monitor": ("127.0.0.1",)}, r"monitor=.*: must be an address and a port"),
        ({"monitor": ("localhost", 9464)}, r"monitor=.*: must be an address and a port"),
    ],
)
def test_setting_in_code_is_refused_as_in_the_environment(given: dict[str, Any], reason: str):
    with pytest.raises(ConfigurationError) as caught:
        Settings(**{"database_url": URL, **given})
    (problem,) = caught.value.problems
    assert re.match(reason, problem)
    assert "s3cret" not in problem
    with pytest.raises(ConfigurationError) as caught:
        Settings.from_env({}, **{"database_url": URL, **given})
    assert caught.value.problems == (problem,)


def test_settings_in_code_are_taken_as_they_are():
    given: dict[str, Any] = {
        "database_url": URL, "listen_url": None, "app": "shop", "pool_size": 1, "statement_cache": 0, "sandbox": False,
        "profile": ProfileName.FAST, "grace": timedelta(0), "poll": timedelta(microseconds=50_001), "monitor": ("::1", 0),
    }  # fmt: skip
    made = Settings(**given)
    assert {name: getattr(made, name) for name in given} == given
    spelt: dict[str, Any] = {"poll": "1s", "profile": "fast"}
    assert Settings(**spelt) == Settings(poll=timedelta(seconds=1), profile=ProfileName.FAST)


def test_an_environment_that_is_none_is_refused():
    with pytest.raises(TypeError, match="environ: must be a mapping, not list"):
        Settings.from_env([])  # type: ignore[arg-type]
    assert problems(UNO_DATABASE_URL=URL, UNO_PAGE=5) == ("UNO_PAGE=5: must be text, not int",)  # type: ignore[arg-type]
