from apps.sandboxes.events import Rung
from uno_workflows import step


@step
async def answer(rung: Rung) -> None: ...
