"""A TCP proxy that can be told to fail: what stands between each process and each server.

Each direction of each connection is one task that reads a piece, suffers what is wrong at the moment, and passes the piece on.
Faults may overlap; each ends on its own, and nothing of it remains.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from typing import Final, Literal

Way = Literal["to server", "to client"]
BOTH: Final[tuple[Way, ...]] = ("to server", "to client")
PIECE: Final = 65_536
RESET: Final = struct.pack("ii", 1, 0)
"""SO_LINGER of a socket whose close is a reset (socket(7))."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Trouble:
    """What is wrong with a proxy for a while.

    Attributes:
        ways: The directions that it hits.
        delay: Seconds that each piece is late.
        hole: Whether pieces are kept back until it is over, as packets that are sent again and again.
        cut_after: How many more bytes of a connection pass before it is cut; `None` for no cut.
        refuses: Whether who connects is cut off at once.
    """

    ways: tuple[Way, ...] = BOTH
    delay: float = 0.0
    hole: bool = False
    cut_after: int | None = None
    refuses: bool = False


class Proxy:
    """Passes connections on to one server on this machine. Made by `Proxy.open`.

    Attributes:
        port: Where it listens on 127.0.0.1, as long as it lives.
    """

    def __init__(self, upstream: int) -> None:
        self._upstream = upstream
        self._troubles: list[Trouble] = []
        self._changed = asyncio.Event()
        self._links: set[_Link] = set()
        self.port = 0

    @classmethod
    @asynccontextmanager
    async def open(cls, upstream: int) -> AsyncIterator[Proxy]:
        """Listen until the block ends; then every connection is closed.

        Args:
            upstream: The server's port on 127.0.0.1; it need not answer yet, nor always.
        """
        proxy = cls(upstream)
        serving: set[asyncio.Task[None]] = set()
        async with asyncio.TaskGroup() as group:

            def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                task = group.create_task(proxy._serve(_End(reader, writer)))
                serving.add(task)
                task.add_done_callback(serving.discard)

            server = await asyncio.start_server(accept, "127.0.0.1", 0)
            proxy.port = server.sockets[0].getsockname()[1]
            try:
                yield proxy
            finally:
                server.close()
                for task in serving:
                    task.cancel()

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._links)

    @property
    def troubled(self) -> bool:
        """Whether anything is wrong."""
        return bool(self._troubles)

    @contextmanager
    def suffering(self, trouble: Trouble) -> Iterator[None]:
        """Let something be wrong until the block ends."""
        self._troubles.append(trouble)
        try:
            yield
        finally:
            self._troubles.remove(trouble)
            self._changed.set()  # whoever is held back looks again
            self._changed = asyncio.Event()

    @contextmanager
    def cut(self, ways: tuple[Way, ...] = BOTH) -> Iterator[None]:
        """Reset every open connection; until the block ends, new ones are reset too.

        Args:
            ways: Which side is told. With one of them the connection is half open: the other side hears nothing until the
                block ends.
        """
        links = list(self._links)
        for link in links:
            link.tear(ways)
        try:
            with self.suffering(Trouble(refuses=True)):
                yield
        finally:
            for link in links:
                link.cut()

    async def _serve(self, client: _End) -> None:
        try:
            if any(trouble.refuses for trouble in self._troubles):
                return
            await self._link(client, _End(*await asyncio.open_connection("127.0.0.1", self._upstream)))
        except OSError:
            pass  # nobody there: the client is told by a reset
        finally:
            client.reset()

    async def _link(self, client: _End, server: _End) -> None:
        link = _Link(client, server)
        self._links.add(link)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pass(link, "to server", client, server))
                group.create_task(self._pass(link, "to client", server, client))
        finally:
            self._links.discard(link)
            link.cut()

    async def _pass(self, link: _Link, way: Way, source: _End, sink: _End) -> None:
        with suppress(OSError):
            while piece := await source.reader.read(PIECE):
                if link.torn:
                    continue  # half open: what is sent now reaches nobody
                left = await self._suffer(link, way, len(piece))
                sink.writer.write(piece[:left])
                await sink.writer.drain()
                if left is not None:
                    link.cut()
        if link.torn:
            await link.over.wait()
        sink.writer.close()

    async def _suffer(self, link: _Link, way: Way, size: int) -> int | None:
        """Wait as long as a piece must; how much of it still passes before the connection is cut, or `None` for all."""
        await asyncio.sleep(sum(trouble.delay for trouble in self._troubles if way in trouble.ways))
        while any(trouble.hole and way in trouble.ways for trouble in self._troubles):
            await self._changed.wait()
        return link.spend(size, [trouble for trouble in self._troubles if way in trouble.ways])


class _End:
    """One side of a connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def reset(self) -> None:
        """Close it by a reset, unless it is closed. What was to be written is lost."""
        transport = self.writer.transport
        with suppress(OSError):
            if not transport.is_closing():
                transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        transport.abort()


class _Link:
    """A connection: two ends, and how many bytes have passed since something began to count them."""

    def __init__(self, client: _End, server: _End) -> None:
        self._ends: dict[Way, _End] = {"to server": server, "to client": client}
        self._passed: dict[Trouble, int] = {}
        self.torn = False
        self.over = asyncio.Event()

    def tear(self, ways: tuple[Way, ...]) -> None:
        """Reset these sides, and leave the other one in the belief that all is well."""
        self.torn = True
        for way in ways:
            self._ends[way].reset()
        if len(ways) == len(self._ends):
            self.over.set()

    def cut(self) -> None:
        """Reset both sides; harmless when they are closed."""
        self.tear(BOTH)

    def spend(self, size: int, troubles: list[Trouble]) -> int | None:
        """Count a piece; how much of it passes before the first cut that it reaches."""
        reached: list[int] = []
        for trouble in troubles:
            if trouble.cut_after is not None:
                before = self._passed.get(trouble, 0)
                self._passed[trouble] = before + size
                if before + size >= trouble.cut_after:
                    reached.append(max(trouble.cut_after - before, 0))
        return min(reached, default=None)
