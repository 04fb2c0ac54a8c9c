"""Sagas whose steps fail, or that abort with any text."""

from __future__ import annotations

from apps.canary.events import Signed
from apps.canary.steps import cry, erase, keep
from uno_workflows import Saga


class Sign(Saga, starts_on=Signed, key="person"):
    async def run(self, signed: Signed) -> None:
        if signed.how == "abort":
            self.abort("no \ud800\x00" + "x" * 5000)
        await self.step(keep if signed.how in ("duplicate", "argument") else cry, signed, undo=erase)
