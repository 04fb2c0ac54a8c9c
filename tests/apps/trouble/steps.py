from __future__ import annotations

import os

from apps.shop.steps import ledger
from apps.trouble.events import Complained, Stumbled
from uno_workflows import Retry, step

STUBBORN = Retry(initial="20ms", maximum="100ms")


@step(retry=STUBBORN)
async def get_up(event: Stumbled) -> None:
    if event.order_id.endswith("-heavy") and not os.path.exists(os.environ["SHOP_LEDGER"] + ".mended"):
        raise RuntimeError("too heavy")
    ledger("get_up")


@step
async def apologise(event: Complained) -> None:
    ledger("apologise")
