"""How each transfer ends, drawn from its id alone: everybody can know it beforehand, and nobody has to be told.

The steps let it happen, the writer acts the other parties (who approve, or cancel), and the checker predicts.
"""

import hashlib
from enum import StrEnum


class Fate(StrEnum):
    """What becomes of a transfer."""

    SETTLED = "settled"
    """Small, and nothing goes wrong."""
    FLAKY = "flaky"
    """Small; the fee and the screening fail a few times first."""
    APPROVED = "approved"
    """Large; the approval comes some time after the request, or even before it."""
    APPROVED_AT_ONCE = "approved at once"
    """Large; the approval is committed together with the request, and may be waited for one second only: whoever gives up
    on it did not look into the log first."""
    UNAPPROVED = "unapproved"
    """Large; nobody approves in time, so it is reversed."""
    FEE_REFUSED = "fee refused"
    """The provider declines, while the screening is under way: reversed."""
    CREDIT_REFUSED = "credit refused"
    """The other account takes no money: everything before is reversed."""
    CANCELLED = "cancelled"
    """Large; it would wait for an approval for ever, and is cancelled: reversed."""
    RACED = "raced"
    """Small, and cancelled at once: completed or reversed, whoever comes first; the cancellation may be late."""


COMPLETED = frozenset({Fate.SETTLED, Fate.FLAKY, Fate.APPROVED, Fate.APPROVED_AT_ONCE})
REVERSED = frozenset({Fate.UNAPPROVED, Fate.FEE_REFUSED, Fate.CREDIT_REFUSED, Fate.CANCELLED})
"""Those of `RACED` end either way, and it must be one of the two wholly."""

_SHARES = (
    (Fate.SETTLED, 40),
    (Fate.FLAKY, 10),
    (Fate.APPROVED, 10),
    (Fate.APPROVED_AT_ONCE, 5),
    (Fate.UNAPPROVED, 5),
    (Fate.FEE_REFUSED, 8),
    (Fate.CREDIT_REFUSED, 8),
    (Fate.CANCELLED, 5),
    (Fate.RACED, 9),
)
"""In percent."""


def fate_of(transfer_id: str) -> Fate:
    """The fate of a transfer."""
    drawn = draw(transfer_id, "fate", 100)
    for fate, share in _SHARES:
        if drawn < share:
            return fate
        drawn -= share
    raise AssertionError("the shares are percents")


def draw(transfer_id: str, what: str, below: int) -> int:
    """A number from 0 up to `below`, always the same for a transfer and a purpose."""
    return int.from_bytes(hashlib.sha256(f"{what}:{transfer_id}".encode()).digest()[:8], "big") % below
