from uno_workflows import Event


class Rung(Event):
    bell: str
