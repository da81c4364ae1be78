"""What is kept as golden files: whole objects, as the API server gets them."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml
from modelvane.cluster.manifests import build_backend, build_budget, build_deployment, build_route, build_service
from modelvane.engine.memory import Memory, Stable
from modelvane.engine.state import Found, Observed, Revision, Split, Traffic
from modelvane.spec import GatewaySpec, ModelDeploymentSpec, ModelRegistrySpec, ParentRef, template_hash

from tests.unit.operator.builder import NOW, workload

IMAGE = "docker.io/modelvane/serving:0.1.0"
SMALL = {"model": {"name": "iris", "stage": "Production"}}
EVERYTHING: dict[str, Any] = {
    "model": {"name": "iris", "alias": "champion"},
    "registryRef": {"name": "central"},
    "replicas": 3,
    "runtime": {
        "image": "registry.example/serving:1",
        "engine": "Native",
        "environment": "FromModel",
        "workers": 4,
        "maxModelSize": "10Gi",
        "cache": {"hostPath": {"path": "/var/cache/modelvane"}},
        "env": [{"name": "OMP_NUM_THREADS", "value": "1"}],
        "envFrom": [{"configMapRef": {"name": "tuning"}}],
    },
    "template": {
        "metadata": {
            "labels": {"team": "flowers", "serving.modelvane.dev/revision": "mine"},
            "annotations": {"prometheus.io/scrape": "true"},
        },
        "spec": {
            "nodeSelector": {"pool": "models"},
            "tolerations": [{"key": "models", "operator": "Exists"}],
            "containers": [
                {"name": "serve", "resources": {"limits": {"memory": "1Gi"}}},
                {"name": "side", "image": "x:1"},
            ],
            "volumes": [{"name": "model", "emptyDir": {"sizeLimit": "2Gi"}}],
        },
    },
    "service": {"type": "NodePort", "port": 8000, "nodePort": 30080, "annotations": {"team": "flowers"}},
    "gateway": {
        "parentRefs": [{"name": "edge", "namespace": "infra", "sectionName": "https"}],
        "hostnames": ["iris.example.com"],
        "path": "/iris",
    },
    "verification": {
        "inputExample": False,
        "requests": [{"name": "setosa", "body": {"inputs": [[5.1]]}, "expect": {"json": {"predictions": [0]}}}],
    },
    "progressDeadline": "1m30s",
}
MLFLOW: dict[str, Any] = {
    **SMALL,
    "runtime": {
        "type": "MLflow",
        "workers": 2,
        "cache": {"persistentVolumeClaim": {"claimName": "models"}, "maxSize": "50Gi"},
    },
}
CUSTOM: dict[str, Any] = {
    **SMALL,
    "runtime": {
        "type": "Custom",
        "image": "registry.example/scoring:7",
        "tls": {"secretName": "iris-tls"},
        "cache": {"hostPath": {"path": "/var/cache/modelvane"}},
        "env": [{"name": "THREADS", "value": "2"}],
    },
    "template": {"spec": {"containers": [{"name": "serve", "args": ["--port", "$(MODELVANE_PORT)"]}]}},
    "service": {"port": 443},
}
PLAIN_REGISTRY = {"uri": "http://mlflow.mlflow.svc:5000"}
FULL_REGISTRY = {
    "uri": "https://mlflow.example",
    "credentialsSecretRef": {"name": "mlflow-login"},
    "artifactSecretRef": {"name": "bucket"},
    "caBundleRef": {"name": "company-ca", "key": "bundle.crt"},
    "workspace": "flowers",
}


STABLE = replace(workload("2"), model_uri="models:/iris/2")


def observed(spec: dict[str, Any], registry: dict[str, Any]) -> Observed:
    parsed, where = ModelDeploymentSpec.model_validate(spec), ModelRegistrySpec.model_validate(registry)
    return Observed(
        namespace="models",
        name="iris",
        uid="11111111-2222-3333-4444-555555555555",
        generation=1,
        resource_version="1",
        annotations={},
        spec=parsed,
        memory=Memory(stable=Stable(version="2", revision=STABLE.revision, since=NOW)),
        workloads=(STABLE,),
        resolution=Found("3"),
        polled_at=NOW,
        registry=where,
        template_hash=template_hash(parsed, where, None),
    )


def revision(o: Observed) -> Revision:
    return Revision("3", str(o.template_hash))


def gateway(o: Observed) -> GatewaySpec:
    return o.spec.gateway or GatewaySpec(parent_refs=(ParentRef(name="edge"),))


def _cases() -> dict[str, Any]:
    small, everything = observed(SMALL, PLAIN_REGISTRY), observed(EVERYTHING, FULL_REGISTRY)
    mlflow, custom = observed(MLFLOW, PLAIN_REGISTRY), observed(CUSTOM, FULL_REGISTRY)
    return {
        "deployment-small": build_deployment(small, revision(small), 1, IMAGE),
        "deployment-everything": build_deployment(everything, revision(everything), 3, IMAGE),
        "deployment-mlflow": build_deployment(mlflow, revision(mlflow), 1, IMAGE),
        "deployment-custom": build_deployment(custom, revision(custom), 1, IMAGE),
        "service-tls": build_service(custom, Traffic(revision(custom).name)),
        "service-one-revision": build_service(small, Traffic(revision(small).name)),
        "service-both-revisions": build_service(everything, Traffic(None)),
        "budget": build_budget(everything),
        "backend": build_backend(everything, STABLE),
        "route-one-revision": build_route(small, gateway(small), Split(((STABLE.revision, 100),))),
        "route-split-and-mirror": build_route(
            everything,
            gateway(everything),
            Split(((STABLE.revision, 90), (revision(everything).name, 10)), (revision(everything).name, 25)),
        ),
    }


def path_of(name: str) -> Path:
    return Path(__file__).parent / f"{name}.yaml"


def text_of(manifest: Any) -> str:
    return yaml.dump(manifest, sort_keys=False, Dumper=_Dumper, width=120)


class _Dumper(yaml.SafeDumper):
    """Without anchors, which nobody reads gladly in a diff."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


CASES = _cases()
