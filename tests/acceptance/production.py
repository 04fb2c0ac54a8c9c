"""A shell that is set up for production: what programs with servers of their own must not obey."""

from __future__ import annotations

from typing import Final

PRODUCTION: Final = {
    "PGHOST": "db.production.invalid",
    "PGPORT": "9",
    "PGUSER": "admin",
    "PGPASSWORD": "secret",
    "PGDATABASE": "production",
    "PGSSLMODE": "verify-full",
    "PGSSLROOTCERT": "/nowhere/root.crt",
    "PGPASSFILE": "/nowhere/pgpass",
    "PGSERVICE": "production",
    "PGOPTIONS": "-c search_path=production",
    "PGTARGETSESSIONATTRS": "read-only",
    "TEMPORAL_ADDRESS": "temporal.production.invalid:7233",
    "TEMPORAL_NAMESPACE": "production",
    "TEMPORAL_API_KEY": "secret",
    "TEMPORAL_TLS": "true",
    "TEMPORAL_TLS_SERVER_NAME": "temporal.production.invalid",
    "TEMPORAL_PROFILE": "production",
    "TEMPORAL_CONFIG_FILE": "/nowhere/temporal.toml",
    "TEMPORAL_GRPC_META_TEAM": "secret",
    "UNO_DATABASE_URL": "postgresql://admin:secret@db.production.invalid/production",
    "UNO_LISTEN_URL": "postgresql://admin:secret@db.production.invalid/production",
}
