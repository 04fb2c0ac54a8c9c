"""The demo as a person runs it: real servers, real processes, exit codes, and the identities of the data set."""

import gzip
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from acceptance.leftovers import processes_of
from acceptance.production import PRODUCTION

from workers.retail.reading import DECEMBER_2010

PROJECT = Path(__file__).parents[2]
KEYS = [
    "rows_read", "rows_by_kind", "value_by_kind", "orders_placed", "orders_fulfilled", "orders_rejected",
    "orders_compensated", "returns", "returns_settled", "returns_held", "gross_revenue", "refunds", "net_revenue",
    "units_sold", "units_returned", "events_appended", "sagas_started", "sagas_final", "sagas_stuck", "duplicates",
    "lost", "reconciled", "seconds",
]  # fmt: skip


@dataclass(frozen=True)
class Finished:
    """A demo that has ended."""

    code: int
    out: str
    err: str

    @property
    def report(self) -> dict[str, Any]:
        """The object on the last line."""
        loaded: dict[str, Any] = json.loads(self.out.splitlines()[-1])
        return loaded


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """Start the demo with its data below a folder."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("UNO_", "RETAIL_"))} | PRODUCTION
    return subprocess.Popen(
        [sys.executable, "-m", "workers.retail.demo", "--no-wait", *arguments],
        cwd=folder,
        env={**environment, "PYTHONPATH": str(PROJECT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def demo(folder: Path, *arguments: str) -> Finished:
    """Run the demo to its end."""
    with start(folder, *arguments) as process:
        out, err = process.communicate()
    return Finished(process.returncode, out, err)


def month(path: Path, lines: Iterable[bytes]) -> Path:
    """A file with these rows."""
    header = gzip.decompress(DECEMBER_2010.read_bytes()).splitlines()[0]
    path.write_bytes(b"\n".join([header, *lines]) + b"\n")
    return path


def check_identities(report: dict[str, Any]) -> None:
    """What must hold of any report."""
    assert list(report) == KEYS
    assert sum(report["rows_by_kind"].values()) == report["rows_read"]
    assert report["orders_placed"] == sum(report[f"orders_{state}"] for state in ("fulfilled", "rejected", "compensated"))
    assert report["returns"] == report["returns_settled"] + report["returns_held"]
    assert Decimal(report["net_revenue"]) == Decimal(report["gross_revenue"]) - Decimal(report["refunds"])
    amounts = [report["gross_revenue"], report["refunds"], report["net_revenue"], *report["value_by_kind"].values()]
    assert all(re.fullmatch(r"-?\d+\.\d{2,}", amount) for amount in amounts), amounts
    assert report["sagas_final"] == report["orders_placed"] + report["returns"]
    assert (report["sagas_stuck"], report["duplicates"], report["lost"], report["reconciled"]) == (0, 0, 0, True)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Finished]:
    """A folder in which sixty invoices were imported."""
    folder = tmp_path_factory.mktemp("kept")
    return folder, demo(folder, "--limit", "60", "--json")


def test_sixty_invoices_come_out_right(kept: tuple[Path, Finished]) -> None:
    _, finished = kept
    assert finished.code == 0, finished.err
    report = finished.report
    check_identities(report)
    assert (report["rows_read"], report["orders_placed"], report["returns"]) == (917, 56, 2)
    assert report["orders_compensated"] == 1  # 536407: its number leaves 7 when divided by 50
    assert report["sagas_started"] == 58
    proven = re.search(r"deliveries proven by the audit\W+([\d,]+)", finished.err)
    assert proven, finished.err
    assert int(proven[1].replace(",", "")) > report["events_appended"], "each goes to a read model at least"
    assert report["events_appended"] > 4 * 50


def test_a_second_run_appends_nothing_and_a_planted_duplicate_is_found(kept: tuple[Path, Finished]) -> None:
    folder, first = kept
    second = demo(folder, "--limit", "60", "--json")
    assert second.code == 0, second.err
    check_identities(second.report)
    assert (second.report["events_appended"], second.report["sagas_started"]) == (0, 0)
    assert "nothing was appended" in second.err
    numbers = [key for key in KEYS if key not in ("events_appended", "sagas_started", "seconds")]
    assert [second.report[key] for key in numbers] == [first.report[key] for key in numbers]

    [ledger] = folder.glob(".uno/demo/*/gateway.jsonl")
    charge = next(row for line in ledger.read_text().splitlines() if (row := json.loads(line))["kind"] == "charge")
    with ledger.open("a") as file:
        for kind, key in (("charge", "planted"), ("reverse", "given back"), ("reverse", "given back again")):
            file.write(json.dumps({**charge, "key": key, "kind": kind}) + "\n")
    third = demo(folder, "--limit", "60", "--json")
    assert third.code == 1
    assert (third.report["duplicates"], third.report["reconciled"]) == (2, False)
    for kind in ("charge", "reverse"):
        assert f"{kind} of {charge['reference']}: stands 2 times" in third.err


@pytest.mark.long
def test_killed_in_the_middle_it_leaves_nothing_running_and_goes_on(tmp_path: Path) -> None:
    with start(tmp_path, "--limit", "60", "--json") as process:
        ledger = _appears(tmp_path, ".uno/demo/*/warehouse.jsonl", process)
        while not ledger.stat().st_size:
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    finished = demo(tmp_path, "--limit", "60", "--json")
    assert finished.code == 0, finished.err
    check_identities(finished.report)
    assert not processes_of(tmp_path)


def test_a_month_with_malformed_rows_is_imported_without_them(tmp_path: Path) -> None:
    rows = gzip.decompress(DECEMBER_2010.read_bytes()).splitlines()[1:120]
    spoilt = [*rows[:3], b"this is no row", *rows[3:9], rows[9].replace(b",", b";", 1), *rows[10:], b'536999,"open']
    finished = demo(tmp_path, "--data", str(month(tmp_path / "spoilt.csv", spoilt)), "--ephemeral")
    assert finished.code == 0, finished.err
    assert [int(found) for found in re.findall(r"line (\d+): malformed", finished.err)] == [5, 12, 122]
    assert "reconciled: the log, the ledgers, the read models and the file agree" in finished.out
    assert re.search(r"malformed\s+│\s+3 │", finished.out)
    assert not list(tmp_path.glob(".uno"))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "does not exist"),
        (b"", "is empty"),
        (b"a,b,c\n1,2,3\n", "is not an Online Retail CSV"),
        (DECEMBER_2010.read_bytes()[:100_000], "is cut short"),
    ],
    ids=["missing", "empty", "other columns", "torn"],
)
def test_what_is_no_such_file_is_refused_before_any_server_starts(tmp_path: Path, content: bytes | None, says: str) -> None:
    path = tmp_path / "month.csv"
    if content is not None:
        path.write_bytes(content)
    finished = demo(tmp_path, "--data", str(path), "--json")
    assert finished.code == 2
    assert finished.out == ""
    [sentence] = finished.err.splitlines()
    assert sentence.startswith(f"demo: {path} {says}")
    assert not list(tmp_path.glob(".uno"))


def test_wrong_usage_is_explained(tmp_path: Path) -> None:
    finished = demo(tmp_path, "--limit", "0")
    assert finished.code == 2
    assert "'0' is not a number of invoices from 1 on" in finished.err


def _appears(folder: Path, pattern: str, process: subprocess.Popen[str]) -> Path:
    while not (found := list(folder.glob(pattern))):
        assert process.poll() is None
        time.sleep(0.05)
    return found[0]
