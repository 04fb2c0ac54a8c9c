"""The object between `Uno.connect()` and `async with`."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Generic, NoReturn, TypeVar

from uno_workflows.events.errors import StoreClosed

T = TypeVar("T")


class Opening(AbstractAsyncContextManager[T], Generic[T]):
    """Opens once. If a program uses it without `async with`, the error says that this is missing.

    Args:
        make: Makes the block that is entered.
        of: The class of the object that it opens.
    """

    def __init__(self, make: Callable[[], AbstractAsyncContextManager[T]], *, of: type) -> None:
        self._make, self._of = make, of
        self._block: AbstractAsyncContextManager[T] | None = None

    async def __aenter__(self) -> T:
        if self._block is not None:
            raise StoreClosed("this connect() was entered before, and opens once: call it again")
        self._block = self._make()
        return await self._block.__aenter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        if self._block is None:
            raise StoreClosed("this connect() was left, but never entered: use `async with`")
        return await self._block.__aexit__(kind, error, trace)

    def __getattr__(self, name: str) -> NoReturn:
        if not name.startswith("_") and hasattr(self._of, name):
            raise StoreClosed(f"the store is not open, so it has no {name}: use `async with Uno.connect() as uno:`")
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
