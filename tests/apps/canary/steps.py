"""Steps that fail."""

from __future__ import annotations

from apps.canary.events import Signed
from uno_workflows import NotYet, Refused, Retry, Transaction, step

ONCE = Retry(attempts=1)


class Speechless(Exception):
    def __str__(self) -> str:
        raise SystemExit(3)


@step(retry=ONCE)
async def keep(signed: Signed, tx: Transaction) -> None:
    """Writes a row that is there already, or a value of the wrong type."""
    statement = "insert into canaries (email, age) values (:email, :age)"
    await tx.execute(statement, {"email": signed.email, "age": 1})
    await tx.execute(statement, {"email": signed.email, "age": signed.email if signed.how == "argument" else 1})


@step(retry=ONCE)
async def cry(signed: Signed) -> None:
    """Raises an error whose text is hard to keep."""
    match signed.how:
        case "refused":
            raise Refused("no \ud800\x00")
        case "not yet":
            raise NotYet("wait \ud800")
        case "speechless":
            raise Speechless
        case "chained":
            raise ValueError("x" * 3_000_000) from Speechless()


@step
async def erase(signed: Signed) -> None:
    """Undoes."""
