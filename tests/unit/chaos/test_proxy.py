"""What the proxy does to connections, on a real server that echoes and says when it was cut off."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from patience import LIMIT

from workers.bank.chaos.proxy import Proxy, Trouble


class Echo:
    """A server that sends everything back.

    Attributes:
        received: Everything that came.
        cut: How many of its connections ended with a reset.
    """

    def __init__(self) -> None:
        self.received = b""
        self.cut = 0
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while piece := await reader.read(65_536):
                self.received += piece
                writer.write(piece)
                await writer.drain()
        except ConnectionError:
            self.cut += 1
        finally:
            writer.transport.abort()


@pytest.fixture
async def echo() -> AsyncIterator[Echo]:
    made = Echo()
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    yield made
    server.close()


@pytest.fixture
async def proxy(echo: Echo) -> AsyncIterator[Proxy]:
    async with Proxy.open(echo.port) as made:
        yield made


class Client:
    """One connection through the proxy."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def send(self, words: bytes) -> None:
        self.writer.write(words)

    async def hear(self, size: int) -> bytes:
        async with asyncio.timeout(LIMIT):
            return await self.reader.readexactly(size)

    async def ask(self, words: bytes) -> bytes:
        self.send(words)
        return await self.hear(len(words))

    async def is_cut(self) -> bool:
        """Wait for the end of it: whether it came by a reset, and not in good order."""
        async with asyncio.timeout(LIMIT):
            try:
                while await self.reader.read(65_536):
                    pass
            except ConnectionError:
                return True
        return False


Connect = Callable[[Proxy], Awaitable[Client]]


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    """Makes clients, and closes them when the test is over."""
    made: list[Client] = []

    async def connect(proxy: Proxy) -> Client:
        made.append(Client(*await asyncio.open_connection("127.0.0.1", proxy.port)))
        return made[-1]

    yield connect
    for client in made:
        client.writer.close()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(LIMIT):
        while not condition():
            await asyncio.sleep(0.01)


async def hears_nothing(client: Client) -> bool:
    """Whether nothing has come; looks until an answer that was sent would long be there."""
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await client.reader.read(1)
    return True


async def test_without_trouble_everything_passes_both_ways(proxy: Proxy, connect: Connect) -> None:
    client = await connect(proxy)
    words = bytes(range(256)) * 5000
    assert await client.ask(words) == words
    client.writer.close()
    await until(lambda: proxy.connections == 0)


async def test_a_connection_that_ends_in_good_order_is_not_reset(proxy: Proxy, echo: Echo, connect: Connect) -> None:
    client = await connect(proxy)
    await client.ask(b"hello")
    client.writer.close()
    await until(lambda: proxy.connections == 0)
    assert echo.cut == 0


async def test_a_cut_resets_both_sides_and_whoever_comes_until_it_is_over(proxy: Proxy, echo: Echo, connect: Connect) -> None:
    client = await connect(proxy)
    await client.ask(b"hello")
    with proxy.cut():
        assert await client.is_cut()
        await until(lambda: echo.cut == 1)
        assert await (await connect(proxy)).is_cut()
    assert await (await connect(proxy)).ask(b"again") == b"again"


async def test_a_cut_towards_the_server_leaves_the_client_in_its_belief(proxy: Proxy, echo: Echo, connect: Connect) -> None:
    client = await connect(proxy)
    await client.ask(b"hello")
    with proxy.cut(("to server",)):
        await until(lambda: echo.cut == 1)
        client.send(b"lost")
        assert await hears_nothing(client)
    assert await client.is_cut()
    assert echo.received == b"hello"


async def test_a_cut_towards_the_client_leaves_the_server_in_its_belief(proxy: Proxy, echo: Echo, connect: Connect) -> None:
    client = await connect(proxy)
    await client.ask(b"hello")
    with proxy.cut(("to client",)):
        assert await client.is_cut()
        assert echo.cut == 0
    await until(lambda: echo.cut == 1)


async def test_a_black_hole_keeps_what_is_sent_until_it_is_over(proxy: Proxy, echo: Echo, connect: Connect) -> None:
    client = await connect(proxy)
    await client.ask(b"hello")
    with proxy.suffering(Trouble(ways=("to server",), hole=True)):
        client.send(b"held")
        assert await hears_nothing(client)
        assert echo.received == b"hello"
    assert await client.hear(4) == b"held"


async def test_a_black_hole_for_answers_lets_the_question_through(proxy: Proxy, echo: Echo, connect: Connect) -> None:
    client = await connect(proxy)
    with proxy.suffering(Trouble(ways=("to client",), hole=True)):
        client.send(b"done, unanswered")
        await until(lambda: echo.received == b"done, unanswered")
        assert await hears_nothing(client)
    assert await client.hear(16) == b"done, unanswered"


async def test_a_hole_that_ends_leaves_another_one_alone(proxy: Proxy, connect: Connect) -> None:
    client = await connect(proxy)
    with proxy.suffering(Trouble(hole=True)):
        with proxy.suffering(Trouble(hole=True)):
            client.send(b"held")
        assert await hears_nothing(client)
    assert await client.hear(4) == b"held"


async def test_a_delay_makes_answers_late(proxy: Proxy, connect: Connect) -> None:
    client = await connect(proxy)
    await client.ask(b"hello")
    with proxy.suffering(Trouble(delay=0.3)):
        client.send(b"late")
        assert await hears_nothing(client)
        assert await client.hear(4) == b"late"


@pytest.mark.parametrize("bytes_", [1, 4, 7])
async def test_a_connection_is_cut_in_the_middle_of_what_is_sent(proxy: Proxy, echo: Echo, bytes_: int, connect: Connect) -> None:
    client = await connect(proxy)
    await client.ask(b"hello")
    with proxy.suffering(Trouble(ways=("to server",), cut_after=bytes_)):
        client.send(b"0123456789")
        assert await client.is_cut()
        await until(lambda: proxy.connections == 0)
    assert echo.received in (b"hello", b"hello" + b"0123456789"[:bytes_])  # a reset may overtake what was sent before it
    assert await (await connect(proxy)).ask(b"again") == b"again"


async def test_bytes_are_counted_over_several_pieces_and_for_each_connection(proxy: Proxy, connect: Connect) -> None:
    with proxy.suffering(Trouble(ways=("to server",), cut_after=10)):
        first, second = await connect(proxy), await connect(proxy)
        assert await first.ask(b"12345") == await second.ask(b"12345") == b"12345"
        first.send(b"67890")
        assert await first.is_cut()
        assert await second.ask(b"678") == b"678"


async def test_a_server_that_is_away_is_a_reset_and_its_return_is_noticed(connect: Connect) -> None:
    echo = Echo()
    server = await asyncio.start_server(echo.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    async with Proxy.open(port) as proxy:
        assert await (await connect(proxy)).is_cut()
        server = await asyncio.start_server(echo.serve, "127.0.0.1", port)
        assert await (await connect(proxy)).ask(b"back") == b"back"
        server.close()


async def test_the_end_of_a_proxy_closes_what_is_open(echo: Echo, connect: Connect) -> None:
    async with Proxy.open(echo.port) as proxy:
        client = await connect(proxy)
        await client.ask(b"hello")
    assert await client.is_cut()
