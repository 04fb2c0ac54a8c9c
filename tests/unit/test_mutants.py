"""The mutators make what they say: else a high score would mean little."""

from __future__ import annotations

from pathlib import Path

import pytest
from mutation.mutants import python_mutants, sql_mutants
from mutation.targets import TARGETS, Target

ROOT = Path(__file__).parents[2]
HERE = Path("here")


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_every_mutant_differs_and_a_python_one_can_be_loaded(target: Target) -> None:
    made = target.mutants(ROOT)
    assert len(made) > 30
    for mutant in made:
        source = (ROOT / mutant.file).read_text()
        changed = mutant.applied_to(source)
        assert changed != source
        if mutant.file.suffix == ".py":
            compile(changed, mutant.file, "exec")  # ast.parse of 3.11 fails now and then where other threads have been at it


def test_python_gets_each_small_mistake_but_none_in_what_is_only_said() -> None:
    head = 'def f(a: int = 1) -> int:\n    """1 < 2"""\n    logger.info(a + 1)\n'
    source = head + "    if a < 2 and not a:\n        stop()\n    return a\n"
    made = {mutant.applied_to(source).split("\n", 3)[3] for mutant in python_mutants(HERE, source)}
    body = "    if a < 2 and not a:\n        stop()\n    return a\n"
    assert made == {
        body,  # the default of the argument
        body.replace("<", "<="),
        body.replace("2", "3"),
        body.replace("and", "or"),
        body.replace("not a", "a"),
        body.replace("a < 2 and not a", "not (a < 2 and not a)"),
        body.replace("stop()", "pass"),
    }


def test_sql_gets_them_within_the_function_and_outside_comments() -> None:
    source = "create function {schema}.f() as $$\nbegin\n  a := b <= 1; -- a < b\nend $$; select 1 < 2"
    made = {mutant.applied_to(source) for mutant in sql_mutants(HERE, source, "f")}
    assert made == {source.replace("<=", "<"), source.replace("  a := b <= 1;", "  null;")}
