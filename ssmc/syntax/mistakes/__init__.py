"""Names for syntax errors. The parser says where it stopped; a rule says what the writer probably had in mind.

A rule looks at the statement, not at the parser's state, and answers None if the mistake is another one. The order of
the rules is the order in which they are asked; what no rule knows is said in terms of what could have followed.
"""

from __future__ import annotations

from ssmc.diagnostics.sink import Edit, Label
from ssmc.diagnostics.span import Span
from ssmc.syntax.finding import Finding
from ssmc.syntax.layout import LayoutError
from ssmc.syntax.mistakes import expressions, statements, structure
from ssmc.syntax.mistakes.stop import END, Stop
from ssmc.syntax.scan import Line

_WORDS = {"NAME": "a name", "STRING": "a string", "NUMBER": "a number", "_NL": "the end of the line", "DERIVATIVE": ""}
_WORDS |= {"_INDENT": "an indented block", "_DEDENT": "", "$END": "the end of the file"}
_OPERATORS = frozenset({"ADD", "MUL", "COMPARE", "**", "and", "or", "if", "not", "true", "false", "SKIPPED"})


def line_mistake(stop: Stop) -> Finding | None:
    """What is wrong with a line as a whole, whether or not the parser stopped in it."""
    return next((f for rule in structure.LINE_RULES if (f := rule(stop))), None)


def explain(stop: Stop) -> Finding:
    """The mistake at which the parser stopped."""
    rules = (*structure.RULES, *statements.RULES, *expressions.RULES)
    return next((f for rule in rules if (f := rule(stop))), None) or _expected(stop)


def layout_mistake(text: str, rows: tuple[Line, ...], number: int, error: LayoutError) -> Finding:
    """Lines that could not be made into statements."""
    line = rows[number]
    if found := line_mistake(Stop(text, rows, number, 0, frozenset())):
        return found
    if error.kind == "empty_block":
        help_ = "indent the statements of the block deeper"
        return Finding("SSM0112", f"no statement is indented under `{line.head}`", error.span, "", (), (), help_)
    if error.kind == "glued":
        return Finding("SSM0163", "a blank or an operator is missing", error.span, "read as two words")
    if error.kind == "too_deep":
        help_ = "give parts of the expression names of their own, in equations above"
        return Finding("SSM0103", "brackets are nested more than 100 deep", error.span, "", (), (), help_)
    above = [r for r in rows[:number] if r.head not in ("layer", "edition")]
    nearest = min(above, key=lambda r: (abs(r.indent - line.indent), -r.span.start), default=line)
    there = (Label(nearest.pieces[0].span, "the statement above begins here"),)
    begin = text.rfind("\n", 0, line.span.start) + 1
    edit = Edit(Span(begin, line.span.start), " " * nearest.indent)
    message = "the statement is not aligned with those above it"
    return Finding("SSM0111", message, line.pieces[0].span, "", there, (), "begin it at the same column", edit)


def _expected(stop: Stop) -> Finding:
    """The plain message: what could have stood here."""
    if "NUMBER" in stop.expected and "NAME" in stop.expected:
        wanted = ["a value"]
    else:
        texts = sorted(stop.expected - _OPERATORS, key=lambda t: (not t.isupper(), t))
        wanted = [w for t in texts if (w := _WORDS.get(t, f"`{t.lower() if t.isupper() else t}`"))]
    found = "the statement ends here" if stop.found is END else "not expected here"
    if not wanted or len(wanted) > 4:
        return Finding("SSM0101", "the statement cannot be read from here on", stop.place, found)
    *most, last = wanted
    listed = f"{', '.join(most)} or {last}" if most else last
    return Finding("SSM0101", f"expected {listed}", stop.place, found)
