"""Each case of invalid.yaml is refused, for that one reason, in those words."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.crds.conftest import Refused, Resources, merged, resource

CASES: list[dict[str, Any]] = yaml.safe_load((Path(__file__).parent / "invalid.yaml").read_text())


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_is_refused_with_the_message(resources: Resources, case: dict[str, Any]) -> None:
    body = merged(resource(case["kind"]), case["patch"])
    with pytest.raises(Refused) as refused:
        resources.create(body, dry_run=True)
    if case["field"] is None:
        assert refused.value.message.endswith(case["says"])
        return
    # One mistake, one field: complaints about another would hide what the user has to change.
    assert {field for field, _ in refused.value.causes} == {case["field"]}
    # The API server puts the kind of error and the value in front, in words that differ between its versions.
    said = [message for _, message in refused.value.causes]
    assert any(message == case["says"] or message.endswith(f": {case['says']}") for message in said), said
