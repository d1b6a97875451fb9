"""The one table of diagnostic codes: 01xx syntax, 02xx names and shapes, 03xx analysis, 04xx modes and backends, 05xx driver."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Code:
    """What a code stands for; `title` is one line for the index."""

    severity: str
    title: str


CODES: dict[str, Code] = {
    # 01xx syntax
    "SSM0101": Code("error", "the line cannot be read"),
    # 02xx names and shapes
    "SSM0201": Code("error", "a name is not bound"),
    "SSM0202": Code("error", "a name or key is bound twice"),
    "SSM0203": Code("error", "terms of a state update have different shapes"),
    "SSM0204": Code("error", "a function is unknown or called wrongly"),
    "SSM0205": Code("error", "an axis is missing"),
    "SSM0206": Code("error", "a complex value where a real one is needed"),
    "SSM0207": Code("error", "a discretization is unknown or given wrongly"),
    "SSM0208": Code("error", "a term has no discretization, or several"),
    "SSM0209": Code("error", "a state is read in its own update"),
    "SSM0210": Code("error", "a value is defined in terms of itself at one token"),
    "SSM0211": Code("error", "an argument of the layer is declared or used wrongly"),
    "SSM0212": Code("error", "a condition cannot be decided when compiling"),
    "SSM0213": Code("error", "a value is used at a time when it has none"),
    "SSM0214": Code("error", "declared axes differ from a value's"),
    "SSM0215": Code("error", "a module is declared wrongly"),
    "SSM0216": Code("error", "an input is missing or declared wrongly"),
    "SSM0217": Code("error", "prev and next of one recurrence"),
    "SSM0219": Code("warning", "a value is never used"),
    "SSM0220": Code("error", "a size depends on a value"),
    "SSM0221": Code("error", "an axis cannot be renamed"),
    "SSM0222": Code("error", "a value starts from two different values"),
    "SSM0223": Code("error", "a discretization needs a linear right side"),
    "SSM0225": Code("error", "a setting does not fit the layer's arguments"),
    "SSM0226": Code("error", "an expansion does not end"),
}
