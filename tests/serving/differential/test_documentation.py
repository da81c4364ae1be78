"""The documented differences are those that the tests allow."""

from pathlib import Path

from tests.serving.differential.rules import RULES

PAGE = Path(__file__).parents[3] / "docs" / "differences.md"


def test_the_page_has_a_row_for_each_rule_and_no_other() -> None:
    rows = [line for line in PAGE.read_text().splitlines() if line.startswith("| `")]
    assert rows == [rule.row for rule in RULES]


def test_each_rule_has_a_name_of_its_own() -> None:
    names = [rule.name for rule in RULES]
    assert len(set(names)) == len(names)
