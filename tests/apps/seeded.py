"""A saga's module that the sandbox refuses when it is loaded."""

import random

from uno_workflows import Event, Saga

SEED = random.random()


class Sown(Event):
    field: str


class Grow(Saga, starts_on=Sown, key="field"):
    async def run(self, sown: Sown) -> None: ...
