"""What a value must be so that it is stored and read back unchanged: one strict core schema for each kind of leaf.

Every rule here answers a loss that was seen: JSON numbers cut decimals, naive datetimes move with the machine's zone,
`NaN` is written as `null`, NUL and lone surrogates break Postgres, exponents of a million digits break the reader.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any, Final

from pydantic_core import PydanticCustomError
from pydantic_core.core_schema import CoreSchema

INT_LIMIT: Final = 2**63
DECIMAL_DIGITS: Final = 1000
FIRST_YEAR: Final = 1900
LAST_YEAR: Final = 9000
DEPTH: Final = 64

CONFIG: Final = {
    "strict": True,
    "extra_fields_behavior": "forbid",
    "allow_inf_nan": False,
    "ser_json_bytes": "base64",
    "val_json_bytes": "base64",
    "ser_json_timedelta": "iso8601",
    "ser_json_temporal": "iso8601",
    "ser_json_inf_nan": "constants",
    "hide_input_in_errors": True,
    "revalidate_instances": "always",
}
"""The core configuration of every model inside an event, whatever its own says."""

_SHAPES: Final = {
    "decimal": (r"^-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]{1,4})?$", "decimals are JSON strings, such as '19.90'"),
    "datetime": (
        r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?([Zz]|[+-][0-9]{2}:?[0-9]{2})$",
        "datetimes are strings with a time zone, exact to the microsecond, such as '2026-03-29T02:30:00Z'",
    ),
    "date": (r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$", "dates are strings, such as '2026-03-29'"),
    "time": (r"^[0-9]{2}:[0-9]{2}", "times are strings, such as '02:30:00'"),
    "timedelta": (r"^[+-]?P", "timedeltas are ISO 8601 strings, such as 'PT90S'"),
}


def strict_leaf(node: Mapping[str, Any]) -> CoreSchema | None:
    """The strict form of a leaf of a core schema; `None` if it is none of those that need one."""
    make = _LEAVES.get(node["type"])
    return None if make is None else make(dict(node))


def _checked(function: Callable[[Any], Any], schema: Any) -> Any:
    return {"type": "function-after", "function": {"type": "no-info", "function": function}, "schema": schema}


def _from_text(node: dict[str, Any], function: Callable[[Any], Any]) -> Any:
    """In JSON a string of the type's shape and nothing else; in Python the type itself."""
    pattern, message = _SHAPES[node["type"]]
    text = {
        "type": "custom-error",
        "schema": {"type": "str", "strict": True, "pattern": pattern, "max_length": DECIMAL_DIGITS + 50},
        "custom_error_type": f"{node['type']}_shape",
        "custom_error_message": message,
    }
    return _checked(
        function,
        {
            "type": "json-or-python",
            "json_schema": {"type": "chain", "steps": [text, {**node, "strict": False}]},
            "python_schema": {**node, "strict": True},
        },
    )


def _int(node: dict[str, Any]) -> Any:
    low = {} if {"ge", "gt"} & node.keys() else {"ge": -INT_LIMIT}
    high = {} if {"le", "lt"} & node.keys() else {"le": INT_LIMIT - 1}
    return {**node, **low, **high, "strict": True}


def _datetime(node: dict[str, Any]) -> Any:
    return _from_text({**node, "tz_constraint": "aware", "microseconds_precision": "error"}, to_utc)


_PLAIN: Final = {"bool": bool, "int": int, "str": str, "float": float}
_ALONE: Final = frozenset({"type", "metadata", "ref", "strict"})


def is_plainly_of(node: Mapping[str, Any], value: object) -> bool:
    """Whether a value is certainly of the type of a node, unconstrained: most defaults are, and cost nothing more."""
    kind = node["type"]
    if kind == "nullable":
        return value is None or is_plainly_of(node["schema"], value)
    if kind == "enum":
        return type(value) is node["cls"]
    if not node.keys() <= _ALONE or type(value) is not _PLAIN.get(kind):
        return False
    if isinstance(value, str):
        return value.isascii() and value.isprintable()
    return isinstance(value, (bool, int, float)) and -INT_LIMIT < value < INT_LIMIT  # NaN is not


_LEAVES: Final[dict[str, Callable[[dict[str, Any]], Any]]] = {
    "int": _int,
    "bool": lambda node: {**node, "strict": True},
    "float": lambda node: {**node, "strict": True, "allow_inf_nan": False},
    "str": lambda node: _checked(check_text, {**node, "strict": True}),
    "bytes": lambda node: {**node, "strict": True},
    "uuid": lambda node: {**node, "strict": True},
    "decimal": lambda node: _from_text({**node, "allow_inf_nan": False}, _bounded),
    "datetime": _datetime,
    "date": lambda node: _from_text(node, _plain_date),
    "time": lambda node: _from_text({**node, "tz_constraint": "naive", "microseconds_precision": "error"}, _without_fold),
    "timedelta": lambda node: _from_text({**node, "microseconds_precision": "error"}, lambda value: value),
}


def exact_constants(node: dict[str, Any], allowed: Iterable[object]) -> CoreSchema:
    """An enum or literal that does not take the JSON values `1.0` and `true` for 1."""
    booleans = any(isinstance(value, bool) for value in allowed)

    def exact(value: Any) -> Any:
        if isinstance(value, float) or (isinstance(value, bool) and not booleans):
            raise PydanticCustomError("exact_constant", "must be one of the declared values, of the same type")
        return value

    checked: Any = {"type": "function-before", "function": {"type": "no-info", "function": exact}, "schema": dict(node)}
    made: Any = {"type": "json-or-python", "json_schema": checked, "python_schema": dict(node)}
    if "ref" in node:
        made["ref"] = node["ref"]
        del checked["schema"]["ref"], made["python_schema"]["ref"]
    return made  # type: ignore[no-any-return]


def check_text(text: str) -> str:
    """Refuse what neither Postgres nor UTF-8 can hold."""
    if "\0" in text:
        raise PydanticCustomError("text_nul", "text must not hold the character NUL")
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise PydanticCustomError("text_surrogate", "text holds a lone surrogate, which is not text") from None
    return text


def to_utc(value: datetime) -> datetime:
    """The same moment in UTC, in the years 1900–9000, never naive."""
    if type(value) is not datetime:
        if getattr(value, "nanosecond", 0):
            raise PydanticCustomError("datetime_nanoseconds", "datetimes are exact to the microsecond; round it first")
        value = datetime(
            value.year, value.month, value.day, value.hour, value.minute, value.second, value.microsecond, value.tzinfo,
            fold=value.fold,
        )  # fmt: skip
    if value.tzinfo is not UTC:
        if value.utcoffset() is None:
            raise PydanticCustomError("timezone_aware", "datetime must have a time zone")
        try:
            value = value.astimezone(UTC)
        except OverflowError:
            raise _years() from None
    if not FIRST_YEAR <= value.year <= LAST_YEAR:
        raise _years()
    return value.replace(fold=0) if value.fold else value  # it says nothing in UTC


def _years() -> PydanticCustomError:
    return PydanticCustomError(
        "datetime_years", "datetime must lie in the years {first} to {last}", {"first": FIRST_YEAR, "last": LAST_YEAR}
    )


def _without_fold(value: time) -> time:
    return value.replace(fold=0) if value.fold else value  # it is not written, and says nothing without a time zone


def _plain_date(value: date) -> date:
    if isinstance(value, datetime):
        raise PydanticCustomError("date_only", "a date is wanted, not a datetime")
    return value


def _bounded(value: Decimal) -> Decimal:
    half = DECIMAL_DIGITS // 2
    if -half < value.adjusted() < half and len(str(value)) <= half:
        return (
            value  # at most half as many digits, so the exponent is within bounds too; a tuple of digits costs three times this
        )
    _, digits, exponent = value.as_tuple()
    if len(digits) > DECIMAL_DIGITS or not isinstance(exponent, int) or abs(exponent) > DECIMAL_DIGITS:
        raise PydanticCustomError("decimal_bounds", "decimal must have at most {n} digits and exponent", {"n": DECIMAL_DIGITS})
    return value


_JSON_LEAVES: Final = frozenset({str, int, float, bool})


def check_json(value: Any, depth: int = DEPTH) -> Any:
    """A copy of a JSON value, refused if it holds NUL, NaN, integers beyond 64 bits, other types or too much depth."""
    if depth < 0:
        raise PydanticCustomError("json_depth", "nested deeper than {n}", {"n": DEPTH})
    if isinstance(value, (str, int, float)) and type(value) not in _JSON_LEAVES:
        raise PydanticCustomError("json_type", "must be a JSON value, not a member of an enum or of another subclass of one")
    match value:
        case None | bool():
            return value
        case str():
            return check_text(value)
        case int() if -INT_LIMIT <= value < INT_LIMIT:
            return value
        case int():
            raise PydanticCustomError("json_int", "integers must fit 64 bits")
        case float() if value - value == 0:
            return value
        case float():
            raise PydanticCustomError("finite_number", "numbers must be finite")
        case list():
            return [check_json(item, depth - 1) for item in value]
        case dict() if all(type(key) is str for key in value):
            return {check_text(key): check_json(item, depth - 1) for key, item in value.items()}
        case dict():
            raise PydanticCustomError("json_key", "keys of JSON objects are strings")
    raise PydanticCustomError("json_type", "must be a JSON value")
