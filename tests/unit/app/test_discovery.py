"""What is found in the user's modules, what is said of the rest, and what is said when a module cannot be imported."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from uno_workflows import DeclarationError
from uno_workflows.app.catalogue import Catalogue, discover
from uno_workflows.app.sdk_worker import threads_for
from uno_workflows.events.errors import ConfigurationError

ACTIVITIES = """
import functools
from temporalio import activity
from uno_workflows import step, Event, Saga

class Placed(Event):
    order_id: str

class Payments:
    def __init__(self, rate): self.rate = rate

    @activity.defn
    async def charge(self, amount: int) -> int: return amount * self.rate

    @activity.defn(name="refund-card")
    def refund(self, amount: int) -> int: return -amount

    @staticmethod
    @activity.defn
    async def rate() -> int: return 2

    @step
    async def book(order: Placed) -> None: ...

payments = Payments(2)
again = payments
charge = payments.charge

class Greeter:
    @activity.defn(name="greet")
    async def __call__(self, name: str) -> str: return name

greeter = Greeter()

named = activity.defn(name="halve")(functools.partial(lambda by, n: n / by, 2))
"""
MISSED = """
import functools
from collections.abc import Sequence
from temporalio import activity
from temporalio.common import RawValue
import nexusrpc
import nexusrpc.handler

class Shipping:
    @activity.defn
    async def ship(self, parcel: str) -> None: ...

class Overnight(Shipping):
    @activity.defn
    async def fly(self, parcel: str) -> None: ...

@activity.defn
class Counter:
    def __call__(self, n: int) -> int: return n

@activity.defn
async def double(n: int) -> int: return 2 * n

half = functools.partial(double, 1)

@activity.defn(dynamic=True)
async def anything(values: Sequence[RawValue]) -> None: ...

@nexusrpc.service
class Prices:
    price: nexusrpc.Operation[str, int]

@nexusrpc.handler.service_handler(service=Prices)
class PriceHandler:
    @nexusrpc.handler.sync_operation
    async def price(self, ctx: nexusrpc.handler.StartOperationContext, sku: str) -> int: return 1
"""
EVENTS = "from uno_workflows import Event\nclass Placed(Event):\n    order_id: str\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The current folder, as it is to a user; what is imported from it is forgotten again."""
    known = set(sys.modules)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield tmp_path
    for name in set(sys.modules) - known:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]


def found(folder: Path, name: str, source: str) -> Catalogue:
    (folder / f"{name}.py").write_text(source)
    return discover([name])


def refused(*modules: Any) -> str:
    with pytest.raises(ConfigurationError) as error:
        discover(modules)
    (problem,) = error.value.problems
    return problem


# -- what is found


def test_activities_that_are_methods_of_an_instance_are_found(folder: Path):
    catalogue = found(folder, "payments_app", ACTIVITIES)
    assert set(catalogue.activities) == {"charge", "refund-card", "rate", "greet", "halve"}
    module = sys.modules["payments_app"]
    assert catalogue.activities["charge"] == module.payments.charge
    assert catalogue.activities["refund-card"](5) == -5
    assert catalogue.activities["halve"](4) == 2
    assert list(catalogue.steps) == ["book"], "a step may stand in a class"
    assert catalogue.missed == []
    threads = threads_for(catalogue, 2)
    assert threads is not None, "refund is not async"
    threads.shutdown()


def test_two_instances_with_one_activity_are_refused(folder: Path):
    with pytest.raises(DeclarationError, match=r"two different things are activity 'charge'"):
        found(folder, "twice_app", ACTIVITIES + "\nother = Payments(3)\n")


def test_what_is_declared_and_cannot_be_run_is_named(folder: Path):
    catalogue = found(folder, "missed_app", MISSED)
    assert list(catalogue.activities) == ["double"]
    said = "\n".join(catalogue.missed)
    for words in (
        f"activity 'ship' is a method (missed_app.Shipping.ship, {folder}/missed_app.py:10), and no instance of its class stands",
        "activity 'fly' is a method (missed_app.Overnight.fly",
        "the class missed_app.Counter is an activity, and no instance of it stands in a module",
        "a functools.partial of activity 'double' is not run in its place",
        "the dynamic activity missed_app.anything is not run",
        "the Nexus handler missed_app.PriceHandler is not run by `uno worker`",
    ):
        assert words in said
    assert "Prices is" not in said, "a service alone promises nothing"


def test_an_instance_of_a_child_runs_what_its_parent_declares(folder: Path):
    catalogue = found(folder, "child_app", MISSED + "\nshipping = Overnight()\n")
    assert {"ship", "fly"} <= set(catalogue.activities)
    assert not any("is a method" in sentence for sentence in catalogue.missed)


def test_objects_that_answer_everything_are_no_activities(folder: Path):
    source = "class Odd:\n    def __getattr__(self, name):\n        raise RuntimeError(name)\nodd = Odd()\n"
    assert found(folder, "odd_app", source + "from unittest.mock import MagicMock\nmock = MagicMock()\n").activities == {}


def test_a_saga_inside_of_a_class_is_refused_by_name(folder: Path):
    source = EVENTS + (
        "from uno_workflows import Saga\nclass Shop:\n    class Fulfil(Saga, starts_on=Placed, key='order_id'):\n"
        "        async def run(self, order): ...\n"
    )
    with pytest.raises(DeclarationError, match=r"saga nested_app\.Shop\.Fulfil must stand at the top of its module"):
        found(folder, "nested_app", source)


# -- what cannot be imported


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("shop.py", "'shop.py' does not import: ModuleNotFoundError: .*: it names a file; give the module, shop"),
        ("./shop.py", "'./shop.py' is not the name of a module: it names a file; give the module, shop"),
        ("shop/sagas.py", r"it names a file; give the module, shop\.sagas"),
        ("shop/", "it names a file; give the module, shop"),
        ("", "'' is not the name of a module: give it as Python would import it"),
        (".shop", "is not the name of a module"),
        ("shop:app", "is not the name of a module"),
        ("shop\0", "is not the name of a module"),
        ("\ud800", "is not the name of a module"),
        ("a b", "is not the name of a module"),
        (7, "7 is not a module, nor the name of one"),
        (None, "None is not a module, nor the name of one"),
    ],
)
def test_what_is_no_module_is_refused_with_what_was_meant(folder: Path, given: Any, words: str):
    with pytest.raises(ConfigurationError, match=words):
        discover([given])


def test_one_name_is_not_taken_for_a_list_of_letters():
    for wrong in ("shop", sys, 7):
        with pytest.raises(TypeError, match="modules= takes a list"):
            discover(wrong)  # type: ignore[arg-type]


def test_a_module_with_the_name_of_python_s_own_is_refused_with_the_file_that_was_imported(folder: Path):
    (folder / "email.py").write_text(EVENTS)
    import email

    assert refused("email") == (
        f"module 'email' is {email.__file__}, not your {folder}/email.py: another name is needed, rename yours"
    )
    assert refused("types").startswith("module 'types' is Python's own (")
    assert "module 'sys' is Python's own (built into Python)" in refused("sys")


def test_a_module_with_the_name_of_an_installed_one_is_refused_with_the_file_that_was_imported(folder: Path):
    (folder / "pydantic").mkdir()
    (folder / "pydantic" / "__init__.py").write_text(EVENTS)
    import pydantic

    assert f"module 'pydantic' is {pydantic.__file__}, not your {folder}/pydantic/__init__.py" in refused("pydantic")


def test_an_import_that_fails_says_which_file_stood_in_the_way(folder: Path):
    (folder / "types.py").write_text(EVENTS)
    (folder / "needs_types.py").write_text("from types import Placed\n")
    import types

    said = refused("needs_types")
    assert "ImportError: cannot import name 'Placed'" in said
    assert said.endswith(f"; {types.__file__} was imported as 'types', not your {folder}/types.py: rename yours")


def test_a_file_that_takes_the_place_of_python_s_own_is_named(folder: Path):
    sys.modules.pop("this", None)
    (folder / "this.py").write_text("x = 1\n")
    (folder / "needs_this.py").write_text("from this import s\n")
    assert refused("needs_this").endswith(f"; {folder}/this.py was imported in place of Python's own module 'this': rename it")


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("import sys\nsys.exit(3)\n", "broken.py:2: SystemExit: 3"),
        ("def f(:\n", "broken.py:1: SyntaxError: invalid syntax"),
        ("class Own(BaseException): ...\nraise Own('no')\n", "broken.py:2: Own: no"),
        ("def f(): f()\nf()\n", "broken.py:1: RecursionError: "),
        ("raise GeneratorExit\n", "broken.py:1: GeneratorExit"),
    ],
)
def test_whatever_a_module_raises_is_one_sentence_with_its_line(folder: Path, source: str, words: str):
    (folder / "broken.py").write_text(source)
    assert words in refused("broken")


def test_an_event_that_is_refused_is_told_with_one_place(folder: Path):
    (folder / "wrong.py").write_text("from typing import Any\n\n" + EVENTS + "class Odd(Event):\n    x: Any\n")
    with pytest.raises(DeclarationError, match=rf"^{folder}/wrong\.py:\d+: Odd\.x is Any"):
        discover(["wrong"])


def test_a_declaration_that_names_its_own_line_keeps_it(folder: Path):
    source = EVENTS + (
        "from uno_workflows import Saga\nclass Shipped(Event): ...\nclass Fulfil(Saga, starts_on=Placed, key='order_id'):\n\n"
        "    async def run(self, order: Shipped): ...\n"
    )
    with pytest.raises(DeclarationError, match=rf"^{folder}/declared\.py:8: Fulfil\.run is given Placed"):
        found(folder, "declared", source)
