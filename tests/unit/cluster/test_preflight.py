from dataclasses import replace

from tests.cluster.preflight import Survey, problems

ABLE = Survey(root=True, linux=True, missing_packages=(), missing_cgroups=(), failed_trials=())


def test_a_machine_that_has_everything_has_no_problem() -> None:
    assert problems(ABLE) == []


def test_all_that_is_missing_is_said_at_once() -> None:
    lacking = replace(
        ABLE,
        missing_packages=("conntrack", "runc"),
        missing_cgroups=("pids",),
        failed_trials=("bridge links", "veth links"),
    )

    assert problems(lacking) == [
        "missing tools; on Debian: apt-get install --no-install-recommends conntrack runc",
        "the kernel offers no cgroup controller pids",
        "the kernel refuses bridge links",
        "the kernel refuses veth links",
    ]


def test_without_root_only_that_is_said_because_the_rest_cannot_be_known() -> None:
    assert problems(replace(ABLE, root=False, missing_packages=("runc",))) == [
        "the local node needs root: run it with sudo, or use kind (CLUSTER=kind) with Docker or Podman"
    ]


def test_another_system_is_pointed_to_kind() -> None:
    assert "use kind" in problems(replace(ABLE, linux=False, root=False))[0]
