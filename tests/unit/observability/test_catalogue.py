"""The catalogue of metrics, and the alert rules that are written against it."""

from __future__ import annotations

import re
from importlib import resources
from typing import Any

import pytest
import yaml

from uno_workflows.observability.catalogue import CATALOGUE, Kind, Metric

RULES: list[dict[str, Any]] = yaml.safe_load(resources.files("uno_workflows.observability").joinpath("alerts.yml").read_text())[
    "groups"
][0]["rules"]
CORE = {"temporal_workflow_task_execution_failed_total": ("workflow_type", "failure_reason")}
"""Series of Temporal's core that a rule may name; tests/integration/app/test_monitoring.py shows that they are there."""
BOUNDED = {"event_type", "outcome", "subscription", "error_type", "saga", "state", "step", "version", "build_id", "role"}
ALL = pytest.mark.parametrize("row", CATALOGUE, ids=lambda row: row.name)
EACH_RULE = pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])


def test_a_name_belongs_to_one_row():
    assert len({series for row in CATALOGUE for series in row.series}) == sum(len(row.series) for row in CATALOGUE)


@ALL
def test_names_say_what_prometheus_expects(row: Metric):
    assert re.fullmatch(r"uno_[a-z]+(_[a-z]+)*", row.name)
    assert not row.name.endswith(("_total", "_count", "_sum", "_bucket", "_info")) or row.name == "uno_build_info"
    assert row.name.endswith("_seconds") == (row.unit == "s")
    assert row.help.endswith(".")


@ALL
def test_no_label_has_values_without_bound(row: Metric):
    assert set(row.labels) <= BOUNDED, "a stream, key, id or tenant would make a series for ever with each value"


@ALL
def test_buckets_are_a_histograms_and_ascend(row: Metric):
    assert bool(row.buckets) == (row.kind is Kind.HISTOGRAM)
    assert list(row.buckets) == sorted(set(row.buckets))


@EACH_RULE
def test_every_series_and_label_of_a_rule_is_in_the_catalogue(rule: dict[str, Any]):
    known = CORE | {series: row.labels for row in CATALOGUE for series in row.series}
    used = re.findall(r"((?:uno|temporal)_\w+)(?:\{([^}]*)\})?", rule["expr"])
    assert used
    for series, matchers in used:
        assert series in known, series
        labels = set(re.findall(r"(\w+)\s*[=!]", matchers)) - {"le"}
        assert labels <= set(known[series]), (series, labels)
    for labels in re.findall(r"(?:by|on) \(([\w, ]+)\)", rule["expr"]):
        assert any(set(labels.split(", ")) <= set(known[series]) for series, _ in used), labels


@EACH_RULE
def test_every_rule_tells_whom_to_wake_and_what_to_do(rule: dict[str, Any]):
    assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
    assert rule["labels"]["severity"] in ("page", "ticket")
    assert set(rule["annotations"]) == {"summary", "description"}
    kept = set(re.findall(r"by \(([\w, ]+)\)", rule["expr"]))
    for label in re.findall(r"\$labels\.(\w+)", " ".join(rule["annotations"].values())):
        assert any(label in labels.split(", ") for labels in kept), f"{label} is not there when the text is made"


def test_thresholds_of_histograms_are_bucket_bounds():
    buckets = {f"{row.name}_bucket": row.buckets for row in CATALOGUE}
    found = [(series, le) for rule in RULES for series, le in re.findall(r'(uno_\w+_bucket)\{le="([\d.]+)"', rule["expr"])]
    assert found
    for series, bound in found:
        assert bound in map(str, buckets[series]), "as Prometheus writes it: 5.0"
