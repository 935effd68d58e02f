"""Method expressions as text and as trees."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvbench_core.errors import ExpressionError
from kvbench_core.naming import Term, parse, split_integration

names = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True).filter(
    lambda name: name not in __import__("keyword").kwlist
)
plain = (
    st.integers(-99, 99) | st.floats(-9, 9).map(lambda x: round(x, 3)) | st.booleans() | st.none()
)
terms = st.recursive(
    st.builds(Term, names),
    lambda inner: st.builds(Term, names, st.dictionaries(names, plain | inner, max_size=3)),
    max_leaves=5,
)


@given(st.lists(terms, min_size=1, max_size=4))
def test_text_and_tree_round_trip(sum_of_terms):
    text = "+".join(map(str, sum_of_terms))
    assert parse(text) == tuple(sum_of_terms)


def test_readable_forms():
    assert parse("rtn(bits=4) + recent(2)") == (
        Term("rtn", {"bits": 4}),
        Term("recent", {}, (2,)),
    )
    assert parse("RTN_INT4") == (Term("RTN_INT4"),)
    assert parse("quarot(inner=rtn(bits=2))") == (
        Term("quarot", {"inner": Term("rtn", {"bits": 2})}),
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1+",
        "a.b()",
        "rtn(**x)",
        "rtn-recent",
        "lambda: 0",
        "[1]",
        "rtn(x=[1])",
        "(" * 5000,
        "\0",
    ],
)
def test_nonsense_is_one_sentence(text):
    with pytest.raises(ExpressionError) as caught:
        parse(text)
    assert "\n" not in str(caught.value)


def test_integration_suffix():
    assert split_integration("RTN_INT4") == ("RTN_INT4", "streaming")
    assert split_integration("rtn(bits=4)@reconstruct") == ("rtn(bits=4)", "reconstruct")
