from pathlib import Path

import pytest

from tests.cluster import Failure, naming


def test_a_cluster_is_named_after_its_checkout_and_the_name_stays() -> None:
    name = naming.default_name(Path("/home/ann/Model_Vane.git"))

    assert name.startswith("model-vane-git-")
    assert name == naming.default_name(Path("/home/ann/Model_Vane.git"))


def test_two_checkouts_of_one_name_are_told_apart() -> None:
    assert naming.default_name(Path("/a/modelvane")) != naming.default_name(Path("/b/modelvane"))


@pytest.mark.parametrize("folder", ["/src/42", "/", "/src/" + "long" * 40, "/src/Ünïcode--", "/src/-x-"])
def test_every_checkout_gives_a_name_that_is_accepted(folder: str) -> None:
    name = naming.default_name(Path(folder))

    assert naming.checked_name(f"{name}-test") == f"{name}-test"


@pytest.mark.parametrize("name", ["", "1st", "a/b", "..", "Upper", "ends-", "x" * 41])
def test_a_name_that_cannot_be_a_path_or_a_container_is_refused(name: str) -> None:
    with pytest.raises(Failure, match="use 1 to 40 of a-z, 0-9 and '-'"):
        naming.checked_name(name)
