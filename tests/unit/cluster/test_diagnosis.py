from tests.cluster.diagnosis import telling


def test_only_the_process_that_ended_is_quoted() -> None:
    logs = {
        "supervisor": "19:25:11 kube-apiserver ended with 1\n",
        "kube-apiserver": 'I1 start\nE1123 19:25:11 run.go:72] "command failed" err="no key"\n',
        "kubelet": 'E1123 19:25:12 "Unable to register node" err="connection refused"\n',
    }

    assert telling(logs) == (
        "--- supervisor\n19:25:11 kube-apiserver ended with 1\n"
        '--- kube-apiserver\nE1123 19:25:11 run.go:72] "command failed" err="no key"'
    )


def test_if_none_ended_the_errors_of_all_are_quoted() -> None:
    logs = {
        "containerd": 'time="1" level=info msg=hello\ntime="2" level=error msg="no runc"\n',
        "etcd": '{"level":"warn"}\n{"level":"fatal","msg":"disk full"}\n',
    }

    assert telling(logs) == (
        '--- containerd\ntime="2" level=error msg="no runc"\n--- etcd\n{"level":"fatal","msg":"disk full"}'
    )


def test_a_process_that_ended_without_an_error_line_is_quoted_by_its_last_lines() -> None:
    logs = {"supervisor": "19:25:11 kubelet ended with -9", "kubelet": "one\ntwo\n"}

    assert telling(logs).endswith("--- kubelet\none\ntwo")


def test_a_long_log_is_cut_to_its_last_errors() -> None:
    log = "\n".join(f"E1123 error {n} " + "x" * 1000 for n in range(100))

    lines = telling({"kubelet": log}).splitlines()

    assert lines[-1].startswith("E1123 error 99 ")
    assert len(lines) == 7
    assert max(map(len, lines)) == 400
