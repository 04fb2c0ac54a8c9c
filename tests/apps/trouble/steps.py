from __future__ import annotations

from apps.shop.steps import ledger
from apps.trouble.events import Complained, Stumbled
from uno_workflows import step


@step
async def get_up(event: Stumbled) -> None:
    ledger("get_up")


@step
async def apologise(event: Complained) -> None:
    ledger("apologise")
