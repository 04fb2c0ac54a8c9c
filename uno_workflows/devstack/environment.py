"""The environment of programs that start servers of their own: no variable in it leads to another server, or is meant for one.

A shell that is set up for production has addresses, credentials and TLS settings. The drivers read them by themselves, even
beside a full address: `PGSSLMODE=require` refuses a server without TLS, and `TEMPORAL_API_KEY` sends a key to it.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, MutableMapping
from typing import Final

# Postgres manual, "Environment Variables" of libpq; asyncpg reads a part of them.
POSTGRES: Final = (
    "PGHOST", "PGHOSTADDR", "PGPORT", "PGDATABASE", "PGUSER", "PGPASSWORD", "PGPASSFILE", "PGREQUIREAUTH", "PGCHANNELBINDING",
    "PGSERVICE", "PGSERVICEFILE", "PGOPTIONS", "PGAPPNAME", "PGSSLMODE", "PGREQUIRESSL", "PGSSLNEGOTIATION", "PGSSLCOMPRESSION",
    "PGSSLCERT", "PGSSLKEY", "PGSSLCERTMODE", "PGSSLROOTCERT", "PGSSLCRL", "PGSSLCRLDIR", "PGSSLSNI", "PGREQUIREPEER",
    "PGSSLMINPROTOCOLVERSION", "PGSSLMAXPROTOCOLVERSION", "PGGSSENCMODE", "PGKRBSRVNAME", "PGGSSLIB", "PGGSSDELEGATION",
    "PGCONNECT_TIMEOUT", "PGCLIENTENCODING", "PGTARGETSESSIONATTRS", "PGLOADBALANCEHOSTS", "PGDATESTYLE", "PGTZ", "PGGEQO",
    "PGSYSCONFDIR", "PGLOCALEDIR",
)  # fmt: skip
# The SDK's environment configuration (temporalio.envconfig). `TEMPORAL_GRPC_META_*` has names of the user's own.
TEMPORAL: Final = (
    "TEMPORAL_ADDRESS", "TEMPORAL_NAMESPACE", "TEMPORAL_API_KEY", "TEMPORAL_PROFILE", "TEMPORAL_CONFIG_FILE", "TEMPORAL_TLS",
    "TEMPORAL_TLS_CLIENT_CERT_PATH", "TEMPORAL_TLS_CLIENT_CERT_DATA", "TEMPORAL_TLS_CLIENT_KEY_PATH",
    "TEMPORAL_TLS_CLIENT_KEY_DATA", "TEMPORAL_TLS_SERVER_CA_CERT_PATH", "TEMPORAL_TLS_SERVER_CA_CERT_DATA",
    "TEMPORAL_TLS_SERVER_NAME", "TEMPORAL_TLS_DISABLE_HOST_VERIFICATION", "TEMPORAL_CODEC_ENDPOINT", "TEMPORAL_CODEC_AUTH",
)  # fmt: skip
STORE: Final = ("UNO_DATABASE_URL", "UNO_LISTEN_URL")
NO_PROFILES: Final = {"TEMPORAL_CONFIG_FILE": os.devnull}
"""Without it the SDK reads `~/.config/temporalio/temporal.toml`, whose default profile may hold a key or certificates."""


def without_servers(environ: Mapping[str, str]) -> dict[str, str]:
    """An environment without the variables and profiles that lead to servers."""
    return {name: value for name, value in environ.items() if not _leads_away(name)} | NO_PROFILES


def forget_servers(environ: MutableMapping[str, str] = os.environ) -> list[str]:
    """Remove the variables that lead to servers from this process's environment. For the start of a program, never for a library.

    Returns:
        The names of the variables that were set.
    """
    found = sorted(name for name in environ if _leads_away(name))
    for name in found:
        del environ[name]
    environ.update(NO_PROFILES)
    return found


def shell_lines(environment: Mapping[str, str], *, also: list[str]) -> list[str]:
    """The lines that another shell has to run to reach these servers and no others, whatever its variables are.

    Args:
        also: Variables that were set here under names that are not known in advance.
    """
    foreign = [name for name in dict.fromkeys((*STORE, *TEMPORAL, *POSTGRES, *also)) if name not in environment]
    return [f"unset {' '.join(foreign)}", *(f"export {name}={shlex.quote(value)}" for name, value in environment.items())]


def _leads_away(name: str) -> bool:
    return name in POSTGRES or name in STORE or name.startswith("TEMPORAL_")
