"""What a store can be told, with the reason of each default."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """Settings of one `PostgresStore`.

    Attributes:
        pool_size: Connections for single statements, most of them shorter than a millisecond.
        transactions: Connections for transactions of steps and programs; each serves one at a time, and steps wait for them.
        pump_transactions: Connections for transactions of pumps, apart: many steps must not keep checkpoints from moving. A
            process runs few pumps, and each has one transaction at a time; they are opened when they are needed.
        statement_cache_size: Prepared statements a connection keeps. 0 is for poolers in transaction mode (PgBouncer), where
            also nothing may be set for a session.
        listen_dsn: A direct URL for LISTEN where `dsn` goes through a pooler, which never delivers; `None` is `dsn`.
        poll: Seconds between looks at the log without a notification. It only bounds the delay when notifications fail.
        application_name: How our connections call themselves in pg_stat_activity.
        connect_timeout: Seconds for a new connection, its place in the pool included.
        statement_timeout: Seconds that one statement of ours may take; more than `lock_timeout`, so that the server, which
            knows the reason, speaks first.
        lock_timeout: Seconds to queue for a row, such as a busy stream's.
        pump_timeout: Seconds that a pump's transaction may queue for a row, and its client be silent in it. Below a pump's
            heartbeat time-out: one that freezes inside a transaction must not hold up its heir.
        step_idle: Seconds that a step may think between two statements of its transaction. What it appended holds all readers
            back until it commits.
        silent_timeout: Seconds that a session of ours may be silent in a transaction that sets no limit itself; and in the
            middle of a statement, where Postgres knows none (ADR 0021).
    """

    pool_size: int = 10
    transactions: int = 10
    pump_transactions: int = 5
    statement_cache_size: int = 100
    listen_dsn: str | None = None
    poll: float = 0.5
    application_name: str = "uno"
    connect_timeout: float = 10.0
    statement_timeout: float = 15.0
    lock_timeout: float = 10.0
    pump_timeout: float = 5.0
    step_idle: float = 8.0
    silent_timeout: float = 30.0

    @property
    def pooled(self) -> bool:
        """Whether a pooler stands between, so that sessions are not ours."""
        return self.statement_cache_size == 0

    def session(self) -> dict[str, str]:
        """What the server is told of each of our connections."""
        if self.pooled:
            return {"application_name": self.application_name}
        return {
            "application_name": self.application_name,
            "default_transaction_isolation": "read committed",  # the fence is only right there
            "lock_timeout": f"{round(self.lock_timeout * 1000)}ms",
            # whoever appended and does not commit holds all readers back
            "idle_in_transaction_session_timeout": f"{round(self.silent_timeout * 1000)}ms",
            "tcp_keepalives_idle": "10",  # else a client that was cut off keeps its ticket for two hours
            "tcp_keepalives_interval": "5",
            "tcp_keepalives_count": "3",
        }

    def session_of_ours(self) -> dict[str, str]:
        """The same for connections that run our statements alone. Row security that hides rows from us is an error there: a pump
        would move its checkpoint past hidden events."""
        return self.session() if self.pooled else {**self.session(), "row_security": "off"}
