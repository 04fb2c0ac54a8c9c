"""Settings: one frozen model, read from the environment in one place, every problem reported at once.

`TEMPORAL_*` variables and profiles are read by the Temporal SDK's own loader, under its own names.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import Field, dataclass, field, fields
from datetime import timedelta
from difflib import get_close_matches
from enum import StrEnum
from functools import partial
from ipaddress import ip_address
from typing import Any, Final

from uno_workflows.events.database_urls import database_url_fault
from uno_workflows.events.durations import duration, spell
from uno_workflows.events.errors import ConfigurationError, UnoError
from uno_workflows.events.limits import APP, SCHEMA
from uno_workflows.events.names import check_name
from uno_workflows.events.text import cut, plain, printable, spelt_out, type_name

ADDRESSES: Final = "such as 127.0.0.1:9464, 0.0.0.0:9464 for every network, or [::1]:9464"
UNUSED_URL: Final = "postgresql://localhost/unused"
"""The database URL of a command that reads the other settings alone."""
_SCHEMA: Final = re.compile(r"[a-z_][a-z0-9_]*")
_KINDS: Final[dict[type, str]] = {
    str: "text",
    int: "a whole number",
    bool: "True or False",
    timedelta: "a timedelta, or text such as '30s'",
    tuple: "an address and a port, such as ('127.0.0.1', 9464)",
}
_TRUTHS: Final = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}


class ProfileName(StrEnum):
    """How fast somebody else goes on where a worker died: which set of recovery times (`app/profiles.py`)."""

    DEFAULT = "default"
    FAST = "fast"


def _database_url(text: str) -> str:
    if fault := database_url_fault(text):
        raise ValueError(fault)
    return text


def _schema(text: str) -> str:
    if not _SCHEMA.fullmatch(text) or len(text) > SCHEMA.most:
        raise ValueError(f"must be 1 to {SCHEMA.most} of a-z, 0-9 and _, and not begin with a digit")
    return text


def _app(text: str) -> str:
    if len(check_name(text, "app")) > APP.most:
        raise ValueError(f"has {len(text)} characters; at most {APP.most}: workflow ids are made of it")
    if text.endswith((".dispatch", ".projections")):
        raise ValueError(f"must not end so: it would be a task queue of the app {text.rpartition('.')[0]!r}")
    return text


def _profile(text: str) -> ProfileName:
    if text not in list(ProfileName):
        raise ValueError(f"must be {' or '.join(ProfileName)}")
    return ProfileName(text)


def _between(least: str, most: str, why: str) -> Callable[[str], timedelta]:
    def parse(text: str) -> timedelta:
        if not duration(least) <= (span := duration(text)) <= duration(most):
            raise ValueError(f"must be from {least} to {most}: {why}")
        return span

    return parse


def _count(text: str, most: int = 1_000_000) -> int:
    if not text.isdecimal() or len(text) > 9 or not 1 <= int(text) <= most:
        raise ValueError(f"must be a whole number from 1 to {most:,}")
    return int(text)


def _count_or_zero(text: str) -> int:
    return 0 if text == "0" else _count(text)


def _listen_address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    try:
        ip_address(bare)
    except ValueError:
        raise ValueError(f"must be an address and a port, {ADDRESSES}") from None
    if not port.isdecimal() or len(port) > 5 or int(port) > 65535 or (":" in bare) != (bare != host):
        raise ValueError(f"must end in a port from 0 (any) to 65535, {ADDRESSES}")
    return bare, int(port)


def _truth(text: str) -> bool:
    if text.lower() not in _TRUTHS:
        raise ValueError("must be true or false")
    return _TRUTHS[text.lower()]


def _one_of(*words: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text.lower() not in words:
            raise ValueError(f"must be one of {', '.join(words)}")
        return text.lower()

    return parse


def _setting(
    variable: str, parse: Callable[[str], Any], default: Any, help: str, *, kind: type | None = None, secret: bool = False
) -> Any:
    takes = kind or type(default)
    return field(default=default, metadata={"variable": variable, "parse": parse, "kind": takes, "help": help, "secret": secret})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that can be set, with the reasons for its defaults. Each field is an environment variable.

    Raises:
        ConfigurationError: with every problem of what is given in code; the same rules hold as for the environment.
    """

    database_url: str = _setting(
        "UNO_DATABASE_URL", _database_url, "", "where the event store is: postgresql://user:password@host/database", secret=True
    )
    listen_url: str | None = _setting(
        "UNO_LISTEN_URL",
        _database_url,
        None,
        "a direct address for LISTEN, where UNO_DATABASE_URL leads through a transaction pooler, which never delivers it",
        kind=str,
        secret=True,
    )
    schema: str = _setting("UNO_SCHEMA", _schema, "uno", "the database schema of the store; two schemas are two stores")
    app: str = _setting("UNO_APP", _app, "uno", "name of the application: its task queues and subscriptions are its own")
    pool_size: int = _setting(
        "UNO_POOL_SIZE", _count, 10, "database connections of a process, and as many again for steps; pumps have five"
    )
    statement_cache: int = _setting(
        "UNO_STATEMENT_CACHE", _count_or_zero, 100, "prepared statements a connection keeps; 0 behind a transaction pooler"
    )
    sandbox: bool = _setting(
        "UNO_SANDBOX", _truth, True, "run sagas in Temporal's sandbox; off halves the price of a saga and guards nothing"
    )
    profile: ProfileName = _setting(
        "UNO_PROFILE",
        _profile,
        ProfileName.DEFAULT,
        "how fast another worker goes on where one died: default, or fast, which costs more heartbeats (docs/recovery.md)",
    )
    grace: timedelta = _setting(
        "UNO_GRACE",
        _between("0s", "10 minutes", "what takes longer is handed over"),
        timedelta(seconds=20),
        "how long a stopping worker lets steps finish before it hands them over; at most 10 minutes",
    )
    lease: timedelta = _setting(
        "UNO_LEASE",
        _between("1s", "5 minutes", "the pump's activity is given twice as long"),
        timedelta(minutes=5),
        "after how long a pump returns, so that deployments can move it; at most 5 minutes",
    )
    poll: timedelta = _setting(
        "UNO_POLL",
        _between("50ms", "5s", "more often is a burden to Postgres, more seldom a pause is noticed late"),
        timedelta(seconds=0.5),
        "how often a pump looks at its lease, and at the log if a wake-up got lost; 50ms to 5s",
    )
    page: int = _setting("UNO_PAGE", partial(_count, most=10_000), 500, "how many events a pump reads at once; at most 10,000")
    window: int = _setting("UNO_WINDOW", _count, 20, "how many starts and signals a dispatcher has in flight")
    max_open: int = _setting(
        "UNO_MAX_OPEN", _count, 2000, "how many runs of one saga may be open before new starts are held back for a while"
    )
    steps: int = _setting("UNO_STEPS", _count, 50, "how many steps a worker runs at once")
    log_format: str = _setting(
        "UNO_LOG_FORMAT",
        _one_of("auto", "console", "json"),
        "auto",
        "how a worker writes its log: console for people, json for collectors; auto is console on a terminal and in `uno dev`",
    )
    log_level: str = _setting(
        "UNO_LOG_LEVEL",
        _one_of("debug", "info", "warning", "error"),
        "info",
        "the least that a worker logs, of the framework and of your code: debug, info, warning or error",
    )
    monitor: tuple[str, int] | None = _setting(
        "UNO_MONITOR",
        _listen_address,
        None,
        "where a worker offers /metrics, /livez and /readyz, as 127.0.0.1:9464; off by default",
        kind=tuple,
    )

    def __post_init__(self) -> None:
        """Judge what is given in code as the environment is judged."""
        values, problems = _judged({setting.name: getattr(self, setting.name) for setting in fields(self)})
        if problems:
            raise ConfigurationError(problems)
        for name, value in values.items():
            object.__setattr__(self, name, value)

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None, **given: Any) -> Settings:
        """Read the settings.

        Args:
            environ: Where from; the process's environment by default.
            given: Settings that are given in code; they win.

        Raises:
            ConfigurationError: with every problem: missing, malformed and unknown variables, and what is given in code.
            TypeError: `environ` is no mapping, or there is no such setting.
        """
        source = os.environ if environ is None else environ
        if not isinstance(source, Mapping):
            raise TypeError(f"environ: must be a mapping, not {type(source).__name__}")
        _, problems = _judged(given)
        values: dict[str, Any] = {}
        for setting in fields(cls):
            text = source.get(setting.metadata["variable"])
            if text is None or setting.name in given or (text == "" and setting.name == "database_url"):
                continue
            try:
                values[setting.name] = setting.metadata["parse"](_text(text))
            except (ValueError, UnoError) as err:
                problems.append(_problem(setting, setting.metadata["variable"], text, err))
        problems += _unknown(source)
        if not given.get("database_url") and not source.get("UNO_DATABASE_URL"):
            problems.append(
                "UNO_DATABASE_URL is not set: say where Postgres is, such as postgresql://user@host/database (or use `uno dev`)"
            )
        if problems:
            raise ConfigurationError(problems)
        return cls(**{**values, **given})


def _judged(given: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Settings that are given in code, as the environment would give them, and what is wrong with them."""
    values: dict[str, Any] = {}
    problems: list[str] = []
    for setting in fields(Settings):
        value = given.get(setting.name, setting.default)
        if type(value) is type(setting.default) and value == setting.default:
            continue
        try:
            values[setting.name] = setting.metadata["parse"](_as_text(value, setting.metadata["kind"]))
        except (ValueError, UnoError) as err:
            problems.append(_problem(setting, setting.name, value, err))
    return values, problems


def _problem(setting: Field[Any], name: str, value: object, error: Exception) -> str:
    return f"{name}{'' if setting.metadata['secret'] else f'={plain(repr(value), 200)}'}: {error}"


def _as_text(value: Any, kind: type) -> str:
    """A value as the environment would spell it. Texts are taken for spans of time and for names, too."""
    if isinstance(value, str) and kind in (str, timedelta, ProfileName):
        return value
    if type(value) is not kind:
        raise ValueError(f"must be {_KINDS.get(kind, 'text')}, not {type_name(value)}")
    if kind is not tuple:
        return _spelt(value)
    pair: Any = value
    if len(pair) != 2 or not isinstance(pair[0], str) or type(pair[1]) is not int:
        raise ValueError(f"must be {_KINDS[kind]}")
    return f"[{pair[0]}]:{pair[1]}" if ":" in pair[0] else f"{pair[0]}:{pair[1]}"


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"must be text, not {type_name(value)}")  # noqa: TRY004 (told with the other problems)
    return value


def check_database_url(url: object) -> str:
    """Return an address of Postgres that was given in code.

    Raises:
        ConfigurationError: it is none.
        TypeError: it is no text.
    """
    if not isinstance(url, str):
        raise TypeError(f"database_url= takes a text such as postgresql://user@host/database, not a {type(url).__name__}")
    try:
        return _database_url(url)
    except (ValueError, UnoError) as err:
        raise ConfigurationError([f"database_url {err}"]) from err


def check_temporal_config_file(environ: Mapping[str, str] | None = None) -> None:
    """Check `TEMPORAL_CONFIG_FILE`: the SDK treats a missing file as an empty one, and would connect to localhost.

    Args:
        environ: Where from; the process's environment by default.

    Raises:
        ConfigurationError: it names no file that can be read.
    """
    name = (os.environ if environ is None else environ).get("TEMPORAL_CONFIG_FILE", "")
    if not name:
        return
    try:
        with open(name, "rb"):
            pass
    except (OSError, ValueError) as err:
        reason = err.strerror if isinstance(err, OSError) else "no path"
        raise ConfigurationError([f"TEMPORAL_CONFIG_FILE={name!r} cannot be read: {reason}"]) from err


def traces_wanted(environ: Mapping[str, str] | None = None) -> bool:
    """Whether OpenTelemetry's own variables ask for traces to be exported; all others of `OTEL_*` the SDK reads itself.

    They do if `OTEL_TRACES_EXPORTER` is `otlp`, or if it is not set and an endpoint of OTLP is.

    Args:
        environ: Where from; the process's environment by default.

    Raises:
        ConfigurationError: they ask for an exporter or a protocol that there is not.
    """
    source = os.environ if environ is None else environ
    exporter = source.get("OTEL_TRACES_EXPORTER", "").strip()
    endpoint = source.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") or source.get("OTEL_EXPORTER_OTLP_ENDPOINT")
    if source.get("OTEL_SDK_DISABLED", "").strip().lower() == "true" or exporter == "none" or not (exporter or endpoint):
        return False
    problems = []
    if exporter not in ("", "otlp"):
        problems.append(f"OTEL_TRACES_EXPORTER={exporter}: it can be otlp or none; for others, install a provider yourself")
    protocol = source.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL") or source.get("OTEL_EXPORTER_OTLP_PROTOCOL") or "http/protobuf"
    if protocol != "http/protobuf":
        problems.append(f"OTEL_EXPORTER_OTLP_PROTOCOL={protocol}: spans go by http/protobuf; collectors take that on port 4318")
    if problems:
        raise ConfigurationError(problems)
    return True


def variables() -> dict[str, tuple[str, str]]:
    """Every environment variable, with its default and its purpose: the documentation is made of it."""
    return {s.metadata["variable"]: (_spelt(s.default), s.metadata["help"]) for s in fields(Settings)}


def _spelt(default: Any) -> str:
    if isinstance(default, timedelta):
        return spell(default)
    return str(default).lower() if isinstance(default, bool) else "" if default is None else str(default)


def _unknown(source: Mapping[str, str]) -> list[str]:
    known = [s.metadata["variable"] for s in fields(Settings)]
    found = []
    for name in source:
        if isinstance(name, str) and name.startswith("UNO_") and name not in known:
            close = get_close_matches(name, known, n=1, cutoff=0.75)
            found.append(
                f"{cut(printable(spelt_out(name)), 200)} is not a setting" + (f"; did you mean {close[0]}?" if close else "")
            )
    return found
