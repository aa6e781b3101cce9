"""MetadataService, as far as clients of tuning jobs ask it: the experiment that a tuning job names, for reading.

Nothing else of Vertex ML Metadata exists here; a job's metrics lie beside its checkpoints.
"""

from __future__ import annotations

from collections.abc import Mapping

from reconciler.emulator import tuning_jobs
from reconciler.emulator.wire.codec import Message, new
from reconciler.emulator.wire.errors import not_found
from reconciler.emulator.wire.names import canonical, last
from reconciler.emulator.world import Method, World


def get_context(world: World, request: Message) -> Message:
    """GetContext: an experiment for each tuning job that has begun to run."""
    name = canonical(request.name)
    for row in world.store.every(tuning_jobs.KIND):
        job = tuning_jobs.read(row)
        if job.experiment == name:
            return new(
                "Context",
                name=name,
                display_name=last(name),
                schema_title="system.Experiment",
                schema_version="0.0.1",
                create_time=job.start_time,
                update_time=job.start_time,
                metadata={"experiment_deleted": False},
            )
    raise not_found(f"The Context {request.name}")


METHODS: Mapping[str, Method] = {"MetadataService.GetContext": get_context}
