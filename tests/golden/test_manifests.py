"""Whole objects against golden files, so that no field comes or goes unseen. `python -m tests.golden` writes them."""

import pytest

from tests.golden.cases import CASES, path_of, text_of


@pytest.mark.parametrize("name", CASES)
def test_the_object_equals_its_golden_file(name: str) -> None:
    assert text_of(CASES[name]) == path_of(name).read_text()


def test_no_golden_file_is_left_over() -> None:
    folder = path_of("x").parent
    assert {path.stem for path in folder.glob("*.yaml")} == set(CASES)
