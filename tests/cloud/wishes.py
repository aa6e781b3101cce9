"""Desired resources for tests of the cloud room: experiments with all four roles, bodies as Vertex takes them."""

from __future__ import annotations

from collections.abc import Mapping

from reconciler.core.identity import identity_of
from reconciler.core.resources import Address, Declared, Ref, Resource, Role, Upload
from reconciler.core.target import Target
from schemas.run_record import Counts, RunRecord, metadata_of

MACHINE = {"machine_type": "n1-standard-4"}


def address(role: Role, experiment: str = "bot") -> Address:
    return Address(experiment, role)


def training(
    target: Target, experiment: str = "bot", *, r: int = 8, attempt: int = 1, uploads: tuple[Upload, ...] = ()
) -> Resource:
    identity = identity_of("custom_job", {"adapter.r": r, "fleet": target.fleet, "name": experiment})
    return Resource(
        address=address(Role.TRAINING, experiment),
        kind="custom_job",
        identity=identity,
        attempt_key=identity_of("attempt", {"attempt": attempt})[:20],
        fields={"adapter.r": Declared(r, "retrain")},
        body={
            "display_name": experiment,
            "job_spec": {
                "worker_pool_specs": [
                    {
                        "machine_spec": MACHINE,
                        "replica_count": 1,
                        "container_spec": {"image_uri": "train", "args": {"identity": identity}},
                    }
                ],
                "base_output_directory": {"output_uri_prefix": target.artifact_uri(identity, attempt)},
            },
        },
        once=True,
        uploads=uploads,
    )


def whole(target: Target, experiment: str = "bot", *, r: int = 8, replicas: int = 1) -> tuple[Resource, ...]:
    """Training, model, endpoint and deployment of one experiment."""
    train = training(target, experiment, r=r)
    model_identity = identity_of("model", {"image": "serve"}, [train.identity])
    model = Resource(
        address=address(Role.MODEL, experiment),
        kind="model",
        identity=model_identity,
        body={
            "display_name": experiment,
            "artifact_uri": Ref(train.address, "artifact_uri"),
            "container_spec": {"image_uri": "serve", "predict_route": "/predict", "health_route": "/health"},
            "labels": {"loraform-trained-by": train.stamp},
        },
        depends_on=(train.address,),
    )
    endpoint = Resource(
        address=address(Role.ENDPOINT, experiment),
        kind="endpoint",
        identity=identity_of("endpoint", {"name": experiment, "fleet": target.fleet}),
        spec={"labels": {"team": "a"}},
        body={"display_name": experiment, "labels": {"team": "a"}},
    )
    deployment = Resource(
        address=address(Role.DEPLOYMENT, experiment),
        kind="deployment",
        identity=identity_of("deployment", {"machine": MACHINE}, [model_identity]),
        attempt_key=identity_of("attempt", {"attempt": 1})[:20],
        spec={"min_replica_count": 1, "max_replica_count": replicas, "traffic": 100},
        born={"traffic": 0},
        fields={"serving.max_replica_count": Declared(replicas, "in_place")},
        body={
            "endpoint": Ref(endpoint.address, "name"),
            "deployed_model": {
                "model": Ref(model.address, "version_name"),
                "dedicated_resources": {
                    "machine_spec": MACHINE,
                    "min_replica_count": 1,
                    "max_replica_count": replicas,
                },
            },
        },
        depends_on=(model.address, endpoint.address),
    )
    return train, model, endpoint, deployment


def record_of(
    target: Target, run: Resource, metrics: Mapping[str, float] | None = None, eval_digest: str = "rows"
) -> tuple[bytes, dict[str, str]]:
    """The run record as the trainer writes it: (content, custom metadata)."""
    record = RunRecord(
        fleet=target.fleet,
        experiment=run.address.experiment,
        identity=run.identity,
        attempt=1,
        method="lora",
        artifact_uri=f"{target.artifact_uri(run.identity, 1)}/model",
        artifact_digest="0" * 64,
        base="tiny",
        metrics=dict(metrics or {"eval_loss": 0.5}),
        eval_digest=eval_digest,
        counts=Counts(train_rows=10, eval_rows=4),
    )
    return record.model_dump_json().encode(), metadata_of(record)
