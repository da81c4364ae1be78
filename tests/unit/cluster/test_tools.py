import pytest

from tests.cluster import tools

SOURCES = [("go.mod", b"module x"), ("knode/main.go", b"package main")]


def key(
    group: tools.Group = tools.NODE, sources: list[tuple[str, bytes]] = SOURCES, flags: tuple[str, ...] = ("-s",)
) -> str:
    return tools.content_key(group, sources, flags)


def test_the_same_content_has_the_same_key() -> None:
    assert key() == key(sources=list(SOURCES))


@pytest.mark.parametrize(
    "other",
    [
        key(group=tools.CLIENT),
        key(flags=("-w",)),
        key(sources=[("go.mod", b"module y"), SOURCES[1]]),
        key(sources=[("go.sum", b"module x"), SOURCES[1]]),
        key(sources=[("go.mod", b"module xpack"), ("knode/main.go", b"age main")]),
    ],
    ids=["other group", "other flags", "other content", "other file name", "content moved between files"],
)
def test_whatever_decides_the_binaries_is_in_the_key(other: str) -> None:
    assert other != key()


def test_images_of_the_cluster_itself_have_a_host_that_no_registry_has() -> None:
    groups = (tools.NODE, tools.METRICS, tools.ENVOY, tools.PROMETHEUS)
    refs = {tools.image_ref(name) for group in groups for name in group.images}

    assert len(refs) == 5
    assert all(ref.startswith("modelvane.local/") and not ref.endswith(":latest") for ref in refs)
