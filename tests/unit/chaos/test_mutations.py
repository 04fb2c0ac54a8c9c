"""The list of planted bugs knows every key and every compare-and-set of the product, and fits the product's text."""

from __future__ import annotations

from pathlib import Path

import pytest
from chaos_build.builds import ALL, EXPOSED_BY
from chaos_build.mutations import BY_PATCHES, ELSEWHERE, MUTATIONS, Mutation, changed_text
from chaos_build.sites import FUNCTION, ROOT, sites

from uno_workflows.storage import statements

PROJECT = Path(__file__).parents[3]
WHAT_TO_DO = (
    "tests/chaos_build/mutations.py lists what each key and each compare-and-set keeps away. Give a new one a mutation and the "
    "run that exposes it (EXPOSED_BY in builds.py), or, if no run of real processes shows it, the tests that have it (ELSEWHERE)."
)


def listed() -> list[str]:
    planted = [site for mutation in MUTATIONS for site in mutation.sites]
    return [*planted, *(site for some in BY_PATCHES.values() for site in some), *ELSEWHERE]


def test_every_key_and_every_compare_and_set_is_listed() -> None:
    assert not (new := sorted(set(sites()) - set(listed()))), f"not listed: {new}. {WHAT_TO_DO}"


def test_what_is_listed_is_there_and_listed_once() -> None:
    assert not (gone := sorted(set(listed()) - set(sites()))), f"no longer in the product: {gone}. {WHAT_TO_DO}"
    assert len(listed()) == len(set(listed()))


def test_what_is_left_to_other_tests_names_files_that_are_there() -> None:
    assert not [test for test in ELSEWHERE.values() if not (PROJECT / test).is_file()]


def test_every_mutation_has_a_run_that_exposes_it() -> None:
    assert {mutation.name for mutation in MUTATIONS} == set(EXPOSED_BY)
    assert set(BY_PATCHES) <= {bug.name for bug in ALL}
    assert len({bug.name for bug in ALL}) == len(ALL)


@pytest.mark.parametrize("mutation", MUTATIONS, ids=[mutation.name for mutation in MUTATIONS])
def test_a_mutation_changes_the_text_of_the_product(mutation: Mutation) -> None:
    assert mutation.modules or mutation.statements or mutation.functions
    for name, changes in mutation.modules.items():
        source = (ROOT / Path(*name.split("."))).with_suffix(".py").read_text(encoding="utf-8")
        compile(changed_text(source, changes, name), name, "exec")
    known = dict(each for file in (ROOT / "storage/sql").glob("*.sql") for each in statements._split(file.read_text()))
    for name, changes in mutation.statements.items():
        assert changed_text(known[name], changes, name) != known[name]
    newest = {
        name: body
        for file in sorted((ROOT / "storage/sql/migrations").glob("*.sql"))
        for name, body in FUNCTION.findall(file.read_text())
    }
    for name, changes in mutation.functions.items():
        assert changed_text(newest[name], changes, name) != newest[name]


def test_a_text_that_is_no_longer_there_is_refused_by_name() -> None:
    with pytest.raises(LookupError, match="somewhere has 'old' 0 times, and not once"):
        changed_text("new", (("old", "older"),), "somewhere")


@pytest.mark.parametrize(
    ("sql", "found"),
    [
        ("update {schema}.t set a = 1 where name = cast(:name as text) and term = cast(:term as bigint)", {"term = :term"}),
        ("insert into {schema}.t values (1) on conflict (key) do nothing", {"on conflict (key) do nothing"}),
        ("select 1 from {schema}.t where term = cast(:term as bigint)", set()),
        ("delete from {schema}.t where state is null and closed_at is null", {"closed_at is null"}),
    ],
)
def test_the_scan_sees_what_a_statement_compares_before_it_writes(sql: str, found: set[str]) -> None:
    from chaos_build.sites import _guards

    assert set(_guards(sql)) == found
