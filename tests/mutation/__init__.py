"""Mutation testing of the four places where a small mistake loses an event: `scripts/mutate` (see `__main__`).

Not part of the suite: a run takes an hour. It has its own mutators because half of what matters is SQL, which the tools for
Python do not touch.
"""
