"""The one rendering of a finding, and its form as data."""

from __future__ import annotations

import pytest

from ssmc.diagnostics.codes import CODES
from ssmc.diagnostics.render import as_json, render
from ssmc.diagnostics.sink import Edit, Label, Sink
from ssmc.diagnostics.span import Source, Span

TEXT = """\
layer Mamba(d_model)
  axis   E = 2 * d_model, M = d_model
  state  h[E, N]:

    # the update

    h' = A * h + B * u
\ty = ä·漢字 + x
  z = f(
    a,
    b
  )
  return out"""


def span(part: str, *, after: str = "") -> Span:
    start = TEXT.index(part, TEXT.index(after))
    return Span(start, start + len(part))


def shown(place: Span, label: str = "", *, secondary: tuple[Label, ...] = (), **rest: object) -> str:
    sink = Sink()
    sink.report("SSM0101", "it is wrong", place, label, secondary=secondary, **rest)  # type: ignore[arg-type]
    return render(sink, Source("specs/m.ssm", TEXT))


def test_all_parts() -> None:
    there = Label(span("h[E, N]"), "the state has shape [E, N]")
    text = shown(
        span("B * u"), "this term has shape [N, M]", secondary=(there,), notes=("one", "two\nlines"), help="three"
    )
    assert (
        text
        == """\
error[SSM0101]: it is wrong
  --> specs/m.ssm:7:18
   |
 3 |   state  h[E, N]:
   |          ------- the state has shape [E, N]
 ...
 7 |     h' = A * h + B * u
   |                  ^^^^^ this term has shape [N, M]
   |
   = note: one
   = note: two
           lines
   = help: three"""
    )


def test_labels_on_one_line_and_on_neighbours() -> None:
    others = (Label(span("E = "), "first"), Label(span("Mamba"), "above"))
    assert (
        shown(span("M = d_model"), "second", secondary=others)
        == """\
error[SSM0101]: it is wrong
  --> specs/m.ssm:2:27
   |
 1 | layer Mamba(d_model)
   |       ----- above
 2 |   axis   E = 2 * d_model, M = d_model
   |          ---- first
   |                           ^^^^^^^^^^^ second"""
    )


def test_tabs_and_wide_characters() -> None:
    assert (
        shown(span("字 + x"), "here", secondary=(Label(span("ä"), "there"),))
        == """\
error[SSM0101]: it is wrong
  --> specs/m.ssm:8:9
   |
 8 |     y = ä·漢字 + x
   |         - there
   |             ^^^^^^ here"""
    )


def test_a_span_over_several_lines() -> None:
    whole = Span(TEXT.index("f("), TEXT.index("  )") + 3)
    assert (
        shown(whole, "the call")
        == """\
error[SSM0101]: it is wrong
  -->  specs/m.ssm:9:7
    |
  9 |   z = f(
    |       ^^
 ...
 12 |   )
    |   ^ the call""".replace("  -->  ", "   --> ")
    )


def test_the_end_of_the_file() -> None:
    end = Span(len(TEXT), len(TEXT))
    assert shown(end, "more is missing").split("\n")[-2:] == [
        " 13 |   return out",
        "    |             ^ more is missing",
    ]
    line = Span(TEXT.index("\n"), TEXT.index("\n") + 1)
    assert shown(line).split("\n")[-1] == "   |                     ^"
    sink = Sink()
    sink.report("SSM0101", "m", Span(4, 4))
    assert render(sink, Source("s", "abc\n")) == "error[SSM0101]: m\n  --> s:2:1\n   |\n 2 |\n   | ^"
    assert render(Sink(), Source("s", "")) == ""


def test_a_long_line_is_shown_in_part() -> None:
    source, sink = Source("s", "a" * 5000 + "b" + "a" * 5000), Sink()
    sink.report("SSM0101", "m", Span(5000, 5001), "b")
    rows = render(sink, source).split("\n")
    assert all(len(row) < 200 for row in rows)
    assert rows[-2][rows[-1].index("^")] == "b"


def test_control_characters_do_not_reach_the_terminal() -> None:
    source, sink = Source("s\x1b[1m", "a\x1b[31mb\u202e"), Sink()
    sink.report("SSM0101", "m\x1b", Span(1, 2), "l\x07")
    assert not set(render(sink, source)) & {"\x1b", "\x07", "\u202e"}


def test_color_changes_nothing_else() -> None:
    sink = Sink()
    sink.report("SSM0101", "m", Span(0, 5), "l", secondary=(Label(Span(6, 11), "s"),), notes=("n",), help="h")
    source = Source("s", TEXT)
    plain, colored = render(sink, source), render(sink, source, color=True)
    assert "\x1b[1;31merror[SSM0101]\x1b[0m" in colored and "\x1b" not in plain
    for style in ("\x1b[0m", "\x1b[1m", *(f"\x1b[1;3{i}m" for i in range(8))):
        colored = colored.replace(style, "")
    assert colored == plain


def test_several_are_in_the_order_of_the_text() -> None:
    sink = Sink()
    for start in (9, 2, 5):
        sink.report("SSM0101", f"at {start}", Span(start, start + 1))
    heads = [part.split("\n")[0] for part in render(sink, Source("s", TEXT)).split("\n\n")]
    assert heads == [f"error[SSM0101]: at {i}" for i in (2, 5, 9)]


def test_as_data() -> None:
    sink = Sink()
    first, second = span("E = "), span("z = f")
    sink.report(
        "SSM0101", "m", first, "l", secondary=(Label(second, "s"),), notes=("n",), help="h", edit=Edit(second, "q")
    )
    assert as_json(sink, Source("f", TEXT)) == [
        {
            "code": "SSM0101",
            "severity": "error",
            "message": "m",
            "file": "f",
            "line": 2,
            "column": 10,
            "end_line": 2,
            "end_column": 14,
            "label": "l",
            "secondary": [{"line": 9, "column": 3, "end_line": 9, "end_column": 8, "label": "s"}],
            "notes": ["n"],
            "help": "h",
            "edit": {"line": 9, "column": 3, "end_line": 9, "end_column": 8, "text": "q"},
        }
    ]


def test_codes_are_sorted_and_titled() -> None:
    assert list(CODES) == sorted(CODES)
    for code, entry in CODES.items():
        assert len(code) == 7 and code.startswith("SSM") and entry.severity in ("error", "warning", "note")
        assert entry.title and not entry.title.endswith(".")


@pytest.mark.parametrize("twice", [True, False])
def test_a_finding_is_reported_once(twice: bool) -> None:
    sink = Sink()
    sink.report("SSM0101", "a", Span(0, 1))
    sink.report("SSM0101", "b", Span(0, 1 if twice else 2))
    assert len(sink.items) == 2 - twice
