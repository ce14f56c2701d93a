"""Numbers as text: rounding at the borders, prefixes, signs, and what an interval may hide."""
# ruff: noqa: RUF001  (the minus and multiplication signs are what is tested)

import pytest
from hypothesis import given
from hypothesis import strategies as st

from explorer.analysis.result import Interval
from explorer.convention import Basis, CostAxis, cost_kind
from explorer.question import Budget, Target, parse_amount
from explorer.record import Cost, CostFigure
from explorer.report import text
from explorer.spec import ModelSpec, parse_design


@pytest.mark.parametrize(
    ("value", "kind", "wanted"),
    [
        (4_089_184_256, "macs", "4.09 GMACs"),
        (71_300, "macs", "71.3 kMACs"),
        (999, "macs", "999 MACs"),
        (999_999, "macs", "1.00 MMACs"),
        (999_499, "macs", "999 kMACs"),
        (8_178_368_512, "flops", "8.18 GFLOPs"),
        (2_748_890, "parameters", "2.75 M parameters"),
        (7, "parameters", "7 parameters"),
        (1_500_000, "param_bytes", "1.50 MB"),
        (0, "macs", "0 MACs"),
        (0.00184, "latency", "1.84 ms"),
        (0.0009999, "latency", "1.00 ms"),
        (12.5e-6, "latency", "12.5 µs"),
        (1.5, "latency", "1.50 s"),
    ],
)
def test_amounts(value: float, kind: str, wanted: str) -> None:
    assert text.format_amount(value, cost_kind(kind)) == wanted


@given(st.floats(min_value=1e-9, max_value=1e17))
def test_an_amount_is_within_half_a_percent_of_what_it_says(value: float) -> None:
    said = text.format_macs(value).removesuffix("MACs").replace(" ", "")

    assert parse_amount(said.replace("P", "e15").replace("T", "e12"), "MAC") == pytest.approx(
        value, rel=0.00501
    )


@given(st.floats(min_value=-1, max_value=1), st.integers(0, 3))
def test_a_difference_has_a_sign_exactly_when_it_is_not_zero(value: float, decimals: int) -> None:
    said = text.format_points(value, decimals)
    number = float(said.replace(text.MINUS, "-"))

    assert number == pytest.approx(100 * value, abs=0.51 * 10**-decimals)
    assert (said[0] in ("+", text.MINUS)) == (number != 0)


def test_accuracy_has_the_decimals_its_examples_support() -> None:
    few = Interval(value=0.9741, low=0.9611, high=0.9853, n=539, method="bootstrap")
    many = Interval(value=0.95123, low=0.94701, high=0.95544, n=10_000, method="bootstrap")

    assert text.format_accuracy(few) == "97.4% (95% interval 96.1% to 98.5%)"
    assert text.format_accuracy(many) == "95.12% (95% interval 94.70% to 95.54%)"


def test_an_interval_never_hides_on_which_side_of_zero_it_ends() -> None:
    difference = Interval(value=0.026, low=0.0004, high=0.05, n=539, method="bootstrap")

    assert text.format_difference(difference) == "+2.60 points (95% interval +0.04 to +5.00)"


def test_exact_cost_has_no_interval_and_units_are_said_once() -> None:
    kind = cost_kind("macs")
    exact = CostFigure(value=3e6, low=3e6, high=3e6, basis=Basis.COUNTED)
    noisy = CostFigure(value=1.23e6, low=1.16e6, high=1.3e6, basis=Basis.COUNTED)
    across = CostFigure(value=1e6, low=0.95e6, high=1.05e6, basis=Basis.COUNTED)

    assert text.format_cost(exact, kind) == "3.00 MMACs"
    assert text.format_cost(noisy, kind) == "1.23 MMACs (1.16 to 1.30 MMACs)"
    assert text.format_cost(across, kind) == "1.00 MMACs (950 kMACs to 1.05 MMACs)"


@pytest.mark.parametrize(
    ("seconds", "wanted"),
    [
        (0.25, "250 ms"),
        (7.3, "7.30 s"),
        (59.6, "1 min"),
        (88, "1 min 28 s"),
        (7800, "2 h 10 min"),
        (3600, "1 h"),
    ],
)
def test_durations(seconds: float, wanted: str) -> None:
    assert text.format_seconds(seconds) == wanted


@pytest.mark.parametrize(("value", "wanted"), [(7, "7"), (4_137, "4,100"), (99_500, "100,000"), (760, "760")])
def test_rough_counts(value: int, wanted: str) -> None:
    assert text.format_about(value) == wanted


def test_short_design_groups_members_and_keeps_the_threshold() -> None:
    design = parse_design("a@8#1 -> [p>=0.93] mean(b@8#0, b@8#1, c@8#2)")

    assert text.short_design(design) == "a@8 (p≥0.93 stops) → 2×b@8 + c@8"
    assert text.short_design(parse_design("vote(b@8#0, b@8#1)")) == "2×b@8 (vote)"


def test_questions_and_axes_in_words() -> None:
    assert text.format_question(Budget.parse("latency@cpu<=2ms")) == "at most 2.00 ms on cpu per example"
    assert text.format_question(Target.parse("accuracy>=97%")) == "at least 97.0% accuracy"
    assert text.format_axis(CostAxis.parse("latency@cpu")) == "latency of one example on cpu"


def test_count_text_shows_integers_and_what_was_not_counted() -> None:
    cost = Cost(
        macs=1_001,
        elementwise_ops=13,
        parameters=17,
        param_bytes=68,
        buffer_bytes=0,
        activation_peak_bytes=23,
        batch=1,
        macs_by_op={"convolution": 901, "addmm": 100},
        uncounted={"fft": 3},
    )

    said = text.count_text(ModelSpec("net", 32), cost, by="operator")

    assert "1,001" in said
    assert "2,002" in said
    assert "NOT COUNTED: fft (3×)" in said
    assert said.index("convolution") < said.index("addmm")


@pytest.mark.parametrize(
    ("figures", "decimals"),
    [((0.01, 0.02), 1), ((0.0004, 0.02), 2), ((-0.0004, 0.02), 2), ((0.0, 0.02), 1), ((0.0005, 0.02), 1)],
)
def test_a_bound_that_would_read_as_zero_takes_one_more_decimal(figures, decimals: int) -> None:
    assert text.points_decimals(1, *figures) == decimals
