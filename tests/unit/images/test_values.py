from images.values import CHARTS, image_values, mlflow_values, modelvane_values

REFS = {
    "mlflow": "docker.io/modelvane/mlflow:dev-1",
    "operator": "docker.io/modelvane/operator:dev-2",
    "serving": "docker.io/modelvane/serving:dev-3",
    "postgres": "docker.io/modelvane-test/postgres:dev-4",
    "seaweedfs": "docker.io/modelvane-test/seaweedfs:dev-5",
}


def test_a_registry_with_a_port_is_no_tag() -> None:
    assert image_values("localhost:5000/modelvane/mlflow:dev-1") == {
        "repository": "localhost:5000/modelvane/mlflow",
        "tag": "dev-1",
    }


def test_values_of_the_mlflow_chart() -> None:
    assert mlflow_values(REFS) == {
        "image": {"repository": "modelvane/mlflow", "tag": "dev-1"},
        "embedded": {
            "postgresql": {"image": {"repository": "modelvane-test/postgres", "tag": "dev-4"}},
            "s3": {"image": {"repository": "modelvane-test/seaweedfs", "tag": "dev-5"}},
        },
    }


def test_values_of_the_modelvane_chart() -> None:
    assert modelvane_values(REFS) == {
        "image": {"repository": "modelvane/operator", "tag": "dev-2"},
        "serving": {"image": {"repository": "modelvane/serving", "tag": "dev-3"}},
    }


def test_each_chart_names_the_images_its_values_need() -> None:
    for names, values in CHARTS.values():
        assert values({name: REFS[name] for name in names}) == values(REFS)
