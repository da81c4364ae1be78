"""Conditions: what they mean, what is refused and with which words, and that nothing else ever comes out."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from modelvane_cli.expression import (
    DEEPEST,
    Both,
    Comparison,
    Condition,
    Either,
    ExpressionError,
    Metric,
    Number,
    evaluate,
    metrics,
    parse,
)

F1 = Metric("f1")


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("f1 >= 0.9", Comparison(F1, ">=", Number(0.9))),
        ("f1>=production.f1", Comparison(F1, ">=", Metric("f1", "production"))),
        ("1e-3 > val/loss", Comparison(Number(0.001), ">", Metric("val/loss"))),
        ("top-5 != -1", Comparison(Metric("top-5"), "!=", Number(-1))),
        ('"val.f1 score" > .5', Comparison(Metric("val.f1 score"), ">", Number(0.5))),
        ('champion."val.f1" < 1', Comparison(Metric("val.f1", "champion"), "<", Number(1))),
        ("champion.val.f1 < 1", Comparison(Metric("val.f1", "champion"), "<", Number(1))),
        (r'"say \"f1\"" == 1', Comparison(Metric('say "f1"'), "==", Number(1))),
        (
            "a > 1 or b > 2 AND c > 3",
            Either(
                (
                    Comparison(Metric("a"), ">", Number(1)),
                    Both((Comparison(Metric("b"), ">", Number(2)), Comparison(Metric("c"), ">", Number(3)))),
                )
            ),
        ),
        (
            "(a > 1 or b > 2)and c > 3",
            Both(
                (
                    Either((Comparison(Metric("a"), ">", Number(1)), Comparison(Metric("b"), ">", Number(2)))),
                    Comparison(Metric("c"), ">", Number(3)),
                )
            ),
        ),
    ],
)
def test_a_condition_is_read_as_it_is_meant(text: str, parsed: Condition) -> None:
    assert parse(text) == parsed


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", '"" ends where it should have a number or the name of a metric'),
        ("f1", '"f1" ends where it should have one of >= <= > < == !='),
        ("f1 > 1 and", '"f1 > 1 and" ends where it should have a number or the name of a metric'),
        ("(f1 > 1", '"(f1 > 1" ends where it should have ")"'),
        ("f1 => 1", "at character 4 is =, which begins nothing known here; write ==, >= or <="),
        ("f1 > 1 && f2 > 1", 'at character 8 is &, which begins nothing known here; write "and"'),
        ("f1 > 1 f2 > 1", 'at character 8 is f2, expected "and", "or" or the end'),
        ("1 < 2", '"1 < 2" compares two numbers; name a metric on one side at least'),
        ("__import__('os')", "at character 12 is ', which begins nothing known here; write names in double quotes"),
        ("f1 > 1e999", "at character 6 is 1e999, expected a smaller number"),
        ("and > 1", "at character 1 is and, expected a number or the name of a metric"),
        ('"" > 1', "a name in quotes must not be empty"),
        ("(" * (DEEPEST + 1), f"brackets are nested more than {DEEPEST} deep"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(text: str, message: str) -> None:
    with pytest.raises(ExpressionError) as raised:
        parse(text)
    assert str(raised.value) == message


def test_two_comparisons_at_once_are_refused_with_the_way_to_write_them() -> None:
    with pytest.raises(ExpressionError, match=r"0\.8 < f1 and f1 < 0\.9$"):
        parse("0.8 < f1 < 0.9")


@pytest.mark.parametrize(
    ("text", "met"),
    [
        ("f1 >= production.f1", True),
        ("f1 > production.f1", False),
        ("f1 == 0.9 and loss <= 0.2", True),
        ("f1 != 0.9 or loss < 0.2", False),
        ("f1 > 1 or (loss < 1 and f1 > 0.5)", True),
    ],
)
def test_a_condition_is_judged_by_the_numbers(text: str, met: bool) -> None:
    values = {F1: 0.9, Metric("f1", "production"): 0.9, Metric("loss"): 0.2}
    assert evaluate(parse(text), values).met is met


def test_every_comparison_is_told_even_where_the_first_decides() -> None:
    outcome = evaluate(parse("f1 > 1 and loss < 0.5"), {F1: 0.9, Metric("loss"): 0.2})
    assert [(str(one), one.met) for one in outcome.compared] == [("f1 (0.9) > 1", False), ("loss (0.2) < 0.5", True)]


names = st.text(min_size=1, max_size=12)
numbers = st.floats(allow_nan=False, allow_infinity=False).map(Number)
named = st.builds(Metric, names, st.none() | names)
signs = st.sampled_from([">=", "<=", ">", "<", "==", "!="])
comparisons = st.builds(Comparison, named, signs, numbers | named) | st.builds(Comparison, numbers, signs, named)


def _joined(inner: st.SearchStrategy[Condition]) -> st.SearchStrategy[Condition]:
    several = st.lists(inner, min_size=2, max_size=3)
    both = several.filter(lambda parts: not any(isinstance(part, Both) for part in parts))
    either = several.filter(lambda parts: not any(isinstance(part, Either) for part in parts))
    return both.map(lambda parts: Both(tuple(parts))) | either.map(lambda parts: Either(tuple(parts)))


conditions: st.SearchStrategy[Condition] = st.recursive(comparisons, _joined, max_leaves=6)


@given(conditions)
def test_what_is_written_is_read_back(condition: Condition) -> None:
    text = str(condition)
    if len(text) <= 2000:
        assert parse(text) == condition


@given(st.text(max_size=60) | st.text(alphabet='f1().<>=!& "\\ando r-e5', max_size=40))
def test_no_text_brings_out_anything_but_a_condition_or_its_own_error(text: str) -> None:
    with suppress(ExpressionError):
        condition = parse(text)
        assert parse(str(condition)) == condition
        evaluate(condition, dict.fromkeys(metrics(condition), 0.5))
