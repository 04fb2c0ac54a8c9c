from apps.sandboxes.base import Polite
from apps.sandboxes.events import Rung


class Answer(Polite, starts_on=Rung, key="bell"): ...
