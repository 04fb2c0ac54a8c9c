"""The compose file, as far as it can be judged without an engine: read by Docker Compose itself, held against the code."""

from __future__ import annotations

import json
import re
import subprocess
import tomllib
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml

from uno_workflows.config import Settings, variables

ROOT = Path(__file__).parents[2]
FILE = ROOT / "docker-compose.temporal.yml"
OURS = ("migrate", "tables", "worker")
JOBS = ("migrate", "tables", "temporal-schema", "temporal-namespace")


def compose(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run Docker Compose, which comes as a wheel, with an environment of only these variables."""
    spec = find_spec("compose")
    assert spec is not None
    assert spec.origin is not None
    command = [Path(spec.origin).parent / "docker-compose", "-f", FILE, *arguments]
    return subprocess.run(command, env={"HOME": "/nowhere", **environ}, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def model() -> dict[str, Any]:
    """The file as Compose understands it, every default filled in."""
    read = compose("config", "--format", "json")
    assert read.returncode == 0, read.stderr
    made: dict[str, Any] = json.loads(read.stdout)
    return made


def test_compose_accepts_the_file_without_a_warning() -> None:
    read = compose("config", "--quiet")
    assert (read.returncode, read.stderr) == (0, "")


def test_compose_refuses_a_misspelt_key_so_that_accepting_means_something(tmp_path: Path) -> None:
    spoilt = tmp_path / "compose.yml"
    spoilt.write_text(FILE.read_text().replace("healthcheck:", "healthchek:", 1))
    assert compose("-f", str(spoilt), "config").returncode != 0


def test_it_holds_every_part_of_an_installation(model: dict[str, Any]) -> None:
    wanted = {"postgres", "prometheus", *OURS}
    wanted |= {"temporal-postgres", "temporal-schema", "temporal", "temporal-namespace", "temporal-ui"}
    assert set(model["services"]) == wanted


@pytest.mark.parametrize("name", OURS)
def test_the_environment_of_our_services_is_what_the_settings_read(model: dict[str, Any], name: str) -> None:
    environment = model["services"][name]["environment"]
    uno = {key for key in environment if key.startswith("UNO_")}
    assert uno <= set(variables())
    settings = Settings.from_env(environment)
    assert settings.database_url == "postgresql://uno:uno@postgres:5432/uno"
    assert set(environment) - uno == {"TEMPORAL_ADDRESS", "TEMPORAL_NAMESPACE"}


def test_a_password_that_is_given_reaches_both_ends() -> None:
    read = compose("config", "--format", "json", UNO_POSTGRES_PASSWORD="pw-1", TEMPORAL_POSTGRES_PASSWORD="pw-2")
    services = json.loads(read.stdout)["services"]
    assert services["postgres"]["environment"]["POSTGRES_PASSWORD"] == "pw-1"
    assert all("//uno:pw-1@" in services[name]["environment"]["UNO_DATABASE_URL"] for name in OURS)
    ends = [("temporal-postgres", "POSTGRES_PASSWORD"), ("temporal-schema", "SQL_PASSWORD"), ("temporal", "POSTGRES_PWD")]
    assert {services[name]["environment"][key] for name, key in ends} == {"pw-2"}


def test_what_runs_for_ever_says_how_it_is_and_starts_again(model: dict[str, Any]) -> None:
    for name, service in model["services"].items():
        if name in JOBS:
            assert service["restart"].startswith("on-failure"), name
        else:
            assert service["restart"] == "unless-stopped", name
            assert name == "temporal-ui" or service["healthcheck"]["test"], name


def test_who_needs_a_job_waits_for_its_end_and_who_needs_a_server_for_its_health(model: dict[str, Any]) -> None:
    for name, service in model["services"].items():
        for other, need in service.get("depends_on", {}).items():
            wanted = "service_completed_successfully" if other in JOBS else "service_healthy"
            assert need["condition"] == wanted, f"{name} needs {other}"


def test_nothing_is_published_beyond_this_machine(model: dict[str, Any]) -> None:
    for name, service in model["services"].items():
        for port in service.get("ports", []):
            assert port["host_ip"] == "127.0.0.1", name
    assert "ports" not in model["services"]["worker"], "else a second worker could not start"


def test_the_worker_is_given_time_to_stop(model: dict[str, Any]) -> None:
    worker = model["services"]["worker"]
    grace = Settings.from_env(worker["environment"]).grace.total_seconds()
    stop = re.fullmatch(r"(\d+)s", worker["stop_grace_period"])
    assert stop is not None
    assert float(stop[1]) >= grace + 10


def test_prometheus_scrapes_the_port_that_the_worker_opens(model: dict[str, Any]) -> None:
    settings = yaml.safe_load(model["configs"]["prometheus"]["content"])
    (job,) = settings["scrape_configs"]
    (names,) = job["dns_sd_configs"]
    assert names["names"] == ["worker"]
    assert model["services"]["worker"]["environment"]["UNO_MONITOR"].endswith(f":{names['port']}")


def test_prometheus_is_given_our_rules_where_it_looks_for_them(model: dict[str, Any]) -> None:
    mounted = {volume["target"]: volume["source"] for volume in model["services"]["prometheus"]["volumes"]}
    rules = Path(mounted["/etc/prometheus/rules/uno.yml"])
    assert yaml.safe_load(rules.read_text())["groups"]


def test_the_image_is_built_from_what_the_package_declares(model: dict[str, Any]) -> None:
    lines = model["services"]["worker"]["build"]["dockerfile_inline"].splitlines()
    copied = {word for line in lines if line.startswith("COPY ") and "--from" not in line for word in line.split()[1:-1]}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    assert copied == {"pyproject.toml", project["project"]["readme"], *packages}
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert {f"!{name}" for name in copied} <= set(ignored), "what .dockerignore leaves out cannot be copied"


def test_our_containers_run_without_root_or_a_writable_disk(model: dict[str, Any]) -> None:
    for name in OURS:
        service = model["services"][name]
        assert service["read_only"]
        assert service["cap_drop"] == ["ALL"]
        assert "USER 10001" in service["build"]["dockerfile_inline"]
