"""Programs that start servers of their own take nothing from a shell that is set up for others."""

from __future__ import annotations

import os
import subprocess

import pytest
from acceptance.production import PRODUCTION

from uno_workflows.devstack.environment import forget_servers, shell_lines, without_servers
from workers import children, commands
from workers.bank.chaos import processes

MINE = {"PATH": "/bin", "PGP_KEY": "mine", "UNO_APP": "shop", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4318"}


def test_what_leads_to_other_servers_is_left_out_and_the_rest_is_kept():
    kept = without_servers({**PRODUCTION, **MINE})
    assert kept == {**MINE, "TEMPORAL_CONFIG_FILE": os.devnull}
    environ = {**PRODUCTION, **MINE}
    assert forget_servers(environ) == sorted(PRODUCTION)
    assert environ == kept


def test_the_lines_for_another_shell_override_whatever_is_set_there():
    own = {"UNO_DATABASE_URL": "postgresql://a:b@127.0.0.1:1/x?y='$z'", "TEMPORAL_ADDRESS": "127.0.0.1:2"}
    lines = shell_lines(own, also=["TEMPORAL_GRPC_META_TEAM"])
    script = "\n".join([*lines, "env"])
    done = subprocess.run(["/bin/sh", "-euc", script], env={**PRODUCTION, **MINE}, capture_output=True, text=True, check=True)
    left = dict(line.split("=", 1) for line in done.stdout.splitlines() if not line.startswith(("PWD=", "_=", "SHLVL=")))
    assert left == {**MINE, **own}


def test_commands_and_their_children_do_not_inherit_what_leads_to_other_servers(monkeypatch: pytest.MonkeyPatch):
    for name, value in PRODUCTION.items():
        monkeypatch.setenv(name, value)
    for made in (children.inherited_environment(), processes._inherited()):
        assert {name: made[name] for name in PRODUCTION if name in made} == {"TEMPORAL_CONFIG_FILE": os.devnull}

    async def command() -> int:
        assert {name: os.environ[name] for name in PRODUCTION if name in os.environ} == {"TEMPORAL_CONFIG_FILE": os.devnull}
        return 7

    assert commands.exit_code(command()) == 7
