"""Labels that can be told apart, figures that are always the same, families that have a look."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvbench_core.registry import build_registry
from kvbench_report.families import OTHER, families
from kvbench_report.figures.curves import Curve, curves
from kvbench_report.figures.ends import SPACING, spread
from kvbench_report.figures.files import png, svg
from kvbench_report.figures.key import LONGEST_NAME, short
from kvbench_report.figures.labels import place_labels
from kvbench_report.figures.scatter import Point, Scale, scatter
from kvbench_report.figures.style import DARK, LOOKS, OTHERS, looks, styled
from kvbench_report.results import MethodInfo

PLACES = st.lists(
    st.tuples(st.floats(10, 290), st.floats(10, 190)).map(lambda at: ("12", *at)), max_size=34
)


def point(number: int, x: float, y: float, family: str = "RTN") -> Point:
    return Point(number=number, method=f"M{number}", family=family, x=x, y=y)


@given(PLACES)
def test_labels_stay_inside_and_name_every_point(places: list[tuple[str, float, float]]):
    labels = place_labels(places, 300, 200, 6.5)
    assert sum(len(label.text.split(", ")) for label in labels) == len(places)
    if len(places) < 12:
        assert not any(label.box.outside(300, 200) for label in labels)


def test_labels_of_scattered_points_do_not_overlap():
    places = [(str(i), 20 + 40 * (i % 7), 20 + 40 * (i // 7)) for i in range(28)]
    boxes = [label.box for label in place_labels(places, 300, 200, 6.5)]
    pairs = [(a, b) for i, a in enumerate(boxes) for b in boxes[:i]]
    assert all(a.overlap(b) == 0 for a, b in pairs)


def test_points_at_one_place_share_a_label():
    (label,) = place_labels([("3", 50, 50), ("7", 51, 50)], 300, 200, 6.5)
    assert label.text == "3, 7"


@given(st.lists(st.floats(0, 100), max_size=12).map(sorted))
def test_ends_are_spread_in_order_and_as_little_as_possible(heights: list[float]):
    moved = spread(heights)
    gaps = [b - a for a, b in pairwise(moved)]
    assert all(gap >= SPACING - 1e-6 for gap in gaps)
    # Without forces on the whole, the mean stays: the condition for a minimum of the squares.
    assert sum(moved) == pytest.approx(sum(heights))


def test_the_same_figure_gives_the_same_file():
    def draw() -> tuple[str, bytes]:
        with styled():
            figure = scatter("t", Scale("x", "", "lower"), Scale("y", "", "higher"),
                             [point(1, 1, 2), point(2, 2, 1, "KIVI")])  # fmt: skip
            return svg(figure), png(figure)

    first = draw()
    assert draw() == first
    assert "<dc:date>" not in first[0]
    assert "Verdana" in first[0]


def test_names_are_no_formulas_and_no_markup():
    with styled():
        named = Point(number=1, method="$\\frac$ <i>", family="f", x=1, y=1)
        figure = scatter("$x$ <b>", Scale("x", "", "lower"), Scale("y", "", "higher"), [named])
        text = svg(figure)
    assert "$\\frac$ &lt;i&gt;" in text
    assert "<i>" not in text


def test_curves_of_a_reference_alone():
    with styled():
        line = Curve(number=1, method="BF16", family="BF16", reference=True, x=[0, 1], y=[0, 1])
        assert png(curves("t", "x", "y", [line]))


def test_every_colour_has_one_for_dark_pages():
    assert {look.colour for look in (*LOOKS.values(), *OTHERS)} <= set(DARK)
    assert len({look.marker for look in LOOKS.values()}) == len(LOOKS)


def test_families_of_other_people_have_looks_too():
    assert set(looks(["RTN", "MINE", "YOURS"])) >= {"RTN", "MINE", "YOURS"}


def test_long_names_are_cut_in_the_middle():
    assert short("A" * 50 + "@reconstruct").endswith("@reconstruct")
    assert len(short("A" * 100)) <= LONGEST_NAME


@pytest.mark.parametrize(
    ("label", "expression", "family"),
    [
        ("RTN_INT4", "rtn(bits=4)", "RTN"),
        ("RTN_INT4+window()", "rtn(bits=4)+window()", "RTN"),
        ("rtn(bits=3)+recent(blocks=1)", "rtn(bits=3)+recent(blocks=1)", "RTN"),
        ("KIVI_INT4(zero_point='clamped')", "kivi(bits=4, zero_point='clamped')", "KIVI"),
        ("x", "rtn(bits=3)+prune(newest=rtn(bits=4))", "FLOWCACHE"),
        ("x", "unheard_of()", OTHER),
        ("x", "not an expression", OTHER),
    ],
)
def test_the_family_of_a_method(label: str, expression: str, family: str):
    method = MethodInfo(name="x", label=label, expression=expression, integration="streaming",
                        is_reference=False, prompts=1)  # fmt: skip
    assert families([method], build_registry()) == {"x": family}
