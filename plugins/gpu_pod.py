"""The pod in which a task of the queue `gpu` runs, where Airflow's KubernetesExecutor runs it.

By a variable of the environment, a JSON object, because it is read whenever a DAG file is. Unset, nothing here counts
and Kubernetes' client is not imported, which takes longer than reading all DAGs.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from ml.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kubernetes.client.models import V1Pod

__all__ = ["GPU_POD_VARIABLE", "GPU_QUEUE", "GpuPod", "gpu_pod_arguments"]

GPU_QUEUE = "gpu"
GPU_POD_VARIABLE = "QUARTET_GPU_POD"
#: By this name KubernetesExecutor knows the container that runs the task.
TASK_CONTAINER = "base"

Quantity = Annotated[str, StringConstraints(pattern=r"^[0-9]+(\.[0-9]+)?(m|k|Ki|M|Mi|G|Gi|T|Ti)?$")]
Text = Annotated[str, StringConstraints(min_length=1)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Toleration(_Part):
    """A taint of nodes that the pod bears; without a key, all of them."""

    key: Text | None = None
    operator: Literal["Equal", "Exists"] = "Exists"
    value: Text | None = None
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None


def _bearing_gpu_nodes() -> tuple[Toleration, ...]:
    return (Toleration(key="nvidia.com/gpu", effect="NoSchedule"),)


class GpuPod(_Part):
    """What differs from the pods of other tasks, which Airflow's pod template describes."""

    image: Text | None = Field(None, description="of the task; null takes the pod template's")
    gpus: int = Field(1, ge=1, le=16, description="that the pod has for itself")
    resource: Text = Field("nvidia.com/gpu", description="by which the device plugin offers them")
    cpu: Quantity | None = Field(None, description="that are set apart for the pod, such as 4 or 500m")
    memory: Quantity | None = Field(None, description="that is set apart for it, and may not be exceeded, such as 16Gi")
    node_selector: dict[Text, str] = Field(default_factory=dict, description="labels that a node must have")
    tolerations: tuple[Toleration, ...] = Field(
        default_factory=_bearing_gpu_nodes, description="taints of nodes that the pod bears"
    )
    runtime_class: Text | None = Field(None, description="such as nvidia, where the cluster has one for GPUs")
    executor: Text | None = Field(
        None, description="of these tasks, where Airflow has several, such as KubernetesExecutor beside CeleryExecutor"
    )


def gpu_pod_arguments(queue: str | None, environ: Mapping[str, str] | None = None) -> dict[str, Any]:
    """What a task of a queue is told of its pod; nothing where that is not the queue `gpu` or the variable is unset.

    Returns:
        Arguments of an operator: ``executor_config`` and, where one is named, ``executor``.

    Raises:
        ConfigError: the variable is no such object, or Kubernetes' client is missing.
    """
    text = (os.environ if environ is None else environ).get(GPU_POD_VARIABLE, "").strip()
    if queue != GPU_QUEUE or not text:
        return {}
    wanted = _parse(text)
    arguments: dict[str, Any] = {"executor_config": {"pod_override": _pod(wanted)}}
    return arguments | ({"executor": wanted.executor} if wanted.executor else {})


def _parse(text: str) -> GpuPod:
    try:
        return GpuPod.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        known = ", ".join(GpuPod.model_fields)
        raise ConfigError(
            f"{GPU_POD_VARIABLE} = {text!r} is no pod: {f'{where}: ' if where else ''}{first['msg']}.",
            f"Use a JSON object with any of {known}; {{}} takes the defaults; or unset it.",
        ) from error


def _pod(wanted: GpuPod) -> V1Pod:
    try:
        from kubernetes.client import models
    except ImportError as error:
        raise ConfigError(
            f"{GPU_POD_VARIABLE} is set, and there is no Kubernetes client: {error}.",
            "Install the extra `stack`, or unset it.",
        ) from error
    devices = {wanted.resource: str(wanted.gpus)}
    memory = {"memory": wanted.memory} if wanted.memory else {}
    cpu = {"cpu": wanted.cpu} if wanted.cpu else {}
    container = models.V1Container(
        name=TASK_CONTAINER,
        image=wanted.image,
        # No limit of processors: a task that waits for the GPU is not to wait for its share of them as well.
        resources=models.V1ResourceRequirements(requests=cpu | memory | devices, limits=memory | devices),
    )
    tolerations = [models.V1Toleration(**toleration.model_dump()) for toleration in wanted.tolerations]
    return models.V1Pod(
        metadata=models.V1ObjectMeta(labels={"quartet/queue": GPU_QUEUE}),
        spec=models.V1PodSpec(
            containers=[container],
            node_selector=wanted.node_selector or None,
            tolerations=tolerations or None,
            runtime_class_name=wanted.runtime_class,
        ),
    )
