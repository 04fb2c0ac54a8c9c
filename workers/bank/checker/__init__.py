"""What may never be false at the bank, whatever was done to its processes (ADR 0012)."""

from pathlib import Path

from workers.bank.checker.findings import Finding as Finding


async def check(dsn: str, *, ledgers: Path, settled: bool) -> list[Finding]:
    """Look for what is not as it must be.

    Args:
        dsn: The bank's database, reached without any fault in between.
        ledgers: The folder of the writers' ledgers, `*.jsonl`; one file is taken as well.
        settled: Whether everything should have come to its end. Without it, the look may be taken at any moment.

    Raises:
        OSError, asyncpg.PostgresError: the database cannot be asked; that is no finding.
    """
    raise NotImplementedError
