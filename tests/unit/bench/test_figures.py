"""The percentiles and the table of the measurements."""

import pytest

from tests.bench.figures import Move, percentile, report


@pytest.mark.parametrize(("share", "value"), [(0.5, 100), (0.99, 198), (1, 200), (0, 1)])
def test_a_percentile_is_a_value_that_was_measured(share: float, value: int) -> None:
    assert percentile(list(range(200, 0, -1)), share) == value


def test_the_report_has_a_line_for_each_way_that_was_measured() -> None:
    lines = report(
        [("polling", Move(call=0.03, written=0.25)), ("polling", Move(call=0.05, written=1))],
        {"webhook": "1m", "polling": "1s"},
    )
    assert lines.splitlines()[2:] == ["| polling | 1s | 2 | 250 ms | 1000 ms | 1000 ms | 1000 ms | 30 ms |"]
