import pytest

from tests.cluster import toolchain, tools, versions

GO_MOD = """module example

go 1.26.8

require (
\tgo.etcd.io/etcd/server/v3 v3.6.8
\tk8s.io/kubernetes v1.36.3
\tk8s.io/kubernetes-extra v9.9.9 // indirect
)
"""


def test_versions_are_read_from_go_mod() -> None:
    assert versions.module_version(GO_MOD, "k8s.io/kubernetes") == "v1.36.3"
    assert versions.go_version(GO_MOD) == "1.26.8"


def test_a_module_that_is_not_required_is_an_error_that_names_it() -> None:
    with pytest.raises(LookupError, match=r"sigs\.k8s\.io/kind"):
        versions.module_version(GO_MOD, "sigs.k8s.io/kind")


@pytest.mark.parametrize(
    ("reported", "enough"),
    [("go1.26.8\n", True), ("go1.27.0", True), ("go1.26.10", True), ("go1.26.7", False), ("go1.9", False)],
)
def test_go_is_new_enough_by_number_not_by_text(reported: str, enough: bool) -> None:
    assert toolchain.new_enough(reported, "1.26.8") is enough


@pytest.mark.parametrize("reported", ["go1.27-devel_abc123 Mon", "go1.27rc1 X:nocoverageredesign"])
def test_a_go_of_another_channel_is_compared_by_its_release(reported: str) -> None:
    assert toolchain.new_enough(reported, "1.26.8")


@pytest.mark.parametrize("group", [tools.NODE, tools.ENVOY, tools.PROMETHEUS], ids=lambda group: group.name)
def test_the_go_that_would_be_installed_can_build_every_group(group: tools.Group) -> None:
    go_mod = (group.module / "go.mod").read_text()
    assert toolchain.new_enough(toolchain.GO_PACKAGE, versions.go_version(go_mod))
