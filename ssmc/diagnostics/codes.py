"""The one table of diagnostic codes.

01xx syntax, 02xx names and shapes, 03xx analysis, 04xx modes and backends, 05xx driver.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Code:
    """What a code stands for; `title` is one line for the index."""

    severity: str
    title: str


CODES: dict[str, Code] = {
    # 01xx syntax
    "SSM0101": Code("error", "the statement cannot be read"),
    # the file
    "SSM0102": Code("error", "the file has no statement"),
    "SSM0103": Code("error", "the file is too large, too deep or too long"),
    "SSM0104": Code("error", "a control character in the text"),
    "SSM0105": Code("error", "an unknown edition, or `edition` in the wrong place"),
    "SSM0106": Code("error", "a spec begins with `layer`"),
    "SSM0107": Code("error", "one file holds one layer"),
    "SSM0108": Code("error", "a layer ends with one `return`"),
    # lines
    "SSM0110": Code("error", "tabs and spaces are mixed in indentation"),
    "SSM0111": Code("error", "a statement's indentation does not fit"),
    "SSM0112": Code("error", "a block of `if` is missing, empty or not on its own lines"),
    "SSM0113": Code("error", "`elif` or `else` without `if`"),
    "SSM0114": Code("error", "a bracket is never closed"),
    "SSM0115": Code("error", "a closing bracket without its opening one"),
    "SSM0116": Code("error", "a `:` is missing"),
    # characters and words
    "SSM0120": Code("error", "an operator of another language"),
    "SSM0121": Code("error", "a character that only looks like an operator"),
    "SSM0122": Code("error", "a name is not ASCII"),
    "SSM0123": Code("error", "a number is written in a form the language does not have"),
    "SSM0124": Code("error", "a string is not closed, or has the wrong quotes"),
    "SSM0125": Code("error", "a statement ends with its line"),
    "SSM0126": Code("error", "names have no dots"),
    "SSM0127": Code("error", "a value of another language"),
    "SSM0128": Code("error", "a character without meaning"),
    "SSM0129": Code("error", "a statement of another language"),
    "SSM0130": Code("error", "a keyword is misspelled"),
    "SSM0131": Code("error", "a keyword is used as a name"),
    # time and states
    "SSM0140": Code("error", "a value indexed by time"),
    "SSM0141": Code("error", "a derivative outside a state"),
    "SSM0142": Code("error", "a state without its update"),
    "SSM0143": Code("error", "a continuous state without `by METHOD, step dt`"),
    "SSM0144": Code("error", "a discrete state with `by`"),
    # other statements
    "SSM0150": Code("error", "an equation without its left or right side"),
    "SSM0151": Code("error", "a definition is written `def f(x) = ...`"),
    "SSM0152": Code("error", "a linear or conv is not written as `name(inputs -> outputs, options)`"),
    "SSM0153": Code("error", "a parameter's parts are unknown or out of order"),
    # expressions
    "SSM0160": Code("error", "brackets hold names of axes"),
    "SSM0161": Code("error", "a rename is written `x[N as M]`"),
    "SSM0162": Code("error", "a comparison cannot be chained"),
    "SSM0163": Code("error", "an operator is missing between two values"),
    "SSM0164": Code("error", "a value is missing"),
    "SSM0165": Code("error", "values with names stand behind those without"),
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
    "SSM0218": Code("error", "a key of the state_dict is no key, or is used twice"),
    "SSM0219": Code("warning", "a value is never used"),
    "SSM0220": Code("error", "a size is unknown, or no positive whole number"),
    "SSM0221": Code("error", "an axis cannot be renamed"),
    "SSM0222": Code("error", "a value starts from two different values"),
    "SSM0223": Code("error", "a discretization needs a linear right side"),
    "SSM0224": Code("error", "a parameter's initial value, range or tags do not fit"),
    "SSM0225": Code("error", "a setting does not fit the layer's arguments"),
    "SSM0226": Code("error", "an expansion does not end, or grows too large"),
    "SSM0227": Code("error", "a number is out of range"),
    "SSM0228": Code("error", "a condition where a number is needed, or a number where a condition is needed"),
    "SSM0229": Code("error", "the result is not computed from the input"),
    "SSM0230": Code("warning", "a value that leaves the equations has an axis too many"),
    # 03xx analysis
    "SSM0301": Code("warning", "the stability of a state is undecided"),
    "SSM0302": Code("error", "a discretization is unstable"),
    "SSM0303": Code("warning", "a state can grow"),
    "SSM0304": Code("error", "a module stands inside a recurrence"),
    "SSM0305": Code("note", "an unstable state is allowed"),
    "SSM0306": Code("warning", "a sum of exponentials may overflow"),
    # 04xx modes and backends
    "SSM0401": Code("error", "a forced mode cannot evaluate a recurrence"),
    "SSM0402": Code("note", "a recurrence has no fast kernel"),
}
