"""What is said of Temporal's settings that cannot work, without the words of the bridge."""

from __future__ import annotations

from pathlib import Path

import pytest

from uno_workflows.app.connecting import connect_temporal, short
from uno_workflows.events.errors import ConfigurationError

RUST = "Failed client connect: Server connection error: tonic::transport::Error(Transport, ConnectError("
DNS = RUST + 'ConnectError("dns error", Custom { kind: Uncategorized, error: "failed to lookup address information" })))'
REFUSED = RUST + 'ConnectError("tcp connect error", Os { code: 111, kind: ConnectionRefused, message: "Connection refused" })))'
PLAIN = RUST + "Custom { kind: InvalidData, error: InvalidMessage(InvalidContentType) }))"


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (DNS, "failed to lookup address information"),
        (REFUSED, "Connection refused"),
        (PLAIN, "the TLS handshake failed (InvalidMessage): does the server speak TLS? See TEMPORAL_TLS and its certificates"),
        ("h2 protocol error: http2 error", "h2 protocol error: http2 error"),
        ("", "RuntimeError"),
    ],
)
def test_the_bridge_s_error_is_told_without_its_rust(said: str, shown: str):
    assert short(RuntimeError(said)) == shown


@pytest.mark.parametrize("address", ["a:b:c", "::1", ":7233"])
async def test_an_address_that_is_none_is_refused_by_name(address: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TEMPORAL_ADDRESS", address)
    with pytest.raises(ConfigurationError, match=f"TEMPORAL_ADDRESS='{address}': invalid target URL: .*; such as localhost:7233"):
        await connect_temporal()


async def test_a_profile_that_cannot_be_read_is_not_quoted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "temporal.toml").write_text("api_key = 'CANARY\n")
    monkeypatch.setenv("TEMPORAL_CONFIG_FILE", str(tmp_path / "temporal.toml"))
    with pytest.raises(ConfigurationError, match=r"the TEMPORAL_\* settings cannot be read: .*TOML parse error") as error:
        await connect_temporal()
    assert "CANARY" not in str(error.value)
