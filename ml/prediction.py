"""What a contender answers: from cached feature maps, and as one model from pixels to probabilities."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ml.candidates import load_head
from ml.ensemble import soft_vote, vote_maps
from ml.errors import FingerprintError
from ml.extraction import describe_maps, extract_maps, missing_images
from ml.features import FeatureReader
from ml.plan import load_plan
from ml.temperature import load_temperature
from ml.training import predict_head

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import numpy as np

    from ml.candidates import Candidate, Contender
    from ml.context import Context
    from ml.sources import ImageSource

__all__ = ["assemble", "evidence_maps", "export", "predict"]


def predict(context: Context, contender: Contender, images: Sequence[ImageSource]) -> dict[str, np.ndarray]:
    """Ask for images; where one of them lacks a feature map, those that are missing are extracted first.

    The probabilities are those of the heads, before a temperature.

    Returns:
        ``probabilities`` float32 [N, C] and ``attention`` float32 [N, H, W], in the order of the images.
    """
    outputs = [_ask(context, member.candidate, images) for member in contender.members]
    return soft_vote(outputs, [member.weight for member in contender.members])


def evidence_maps(
    context: Context, contender: Contender, images: Sequence[ImageSource], class_ids: np.ndarray
) -> np.ndarray:
    """Grad-CAM of some images, whose feature maps are cached.

    Args:
        context: settings and store.
        contender: whose evidence it is; of an ensemble the members' as they vote.
        images: any.
        class_ids: int [N], the class that each image is asked about.

    Returns:
        float32 [N, H, W], which sums to 1 over each image.
    """
    from ml.gradcam import grad_cam

    ids = [image.image_id for image in images]
    maps = [
        grad_cam(
            load_head(context.store, candidate, context.settings), _reader(context, candidate).take(ids), class_ids
        )
        for candidate in (member.candidate for member in contender.members)
    ]
    return vote_maps(maps, [member.weight for member in contender.members])


def assemble(context: Context, contender: Contender) -> Callable[..., Any]:
    """The whole model, with the temperature of its evaluation, as it is timed and exported.

    Returns:
        A trackable callable from float32 [N, size, size, 3] in [0, 1] to ``probabilities`` and
        ``attention``.
    """
    from ml.export import assemble_ensemble, assemble_model, assemble_scaled

    models: list[Callable[..., Any]] = []
    for candidate in (member.candidate for member in contender.members):
        head, settings = load_head(context.store, candidate, context.settings), candidate.restore_settings
        models.append(assemble_model(settings(context.settings), candidate.variant, head, candidate.precision))
    model = models[0]
    if len(models) > 1:
        grids = [member.candidate.feature_shape[:2] for member in contender.members]
        model = assemble_ensemble(models, [member.weight for member in contender.members], grids)
    return assemble_scaled(model, load_temperature(context.store, contender))


def export(context: Context, contender: Contender, folder: Path) -> None:
    """Write the whole model as :func:`ml.export.export_model` does, with what it was made of."""
    from ml.export import export_model

    images = contender.lead.restore_settings(context.settings).images
    members = [
        {"run_id": member.candidate.run_id, "variant": member.candidate.name, "weight": member.weight}
        for member in contender.members
    ]
    facts = {
        "run_id": contender.run_id,
        "variant": contender.name,
        "members": members,
        "temperature": load_temperature(context.store, contender),
        "snapshot_id": contender.snapshot_id,
        "images": load_plan(context.store, contender.run_id)["images"],
    }
    model = assemble(context, contender)
    export_model(model, images.size, contender.classes, folder, max_pixels=images.max_pixels, facts=facts)


def _ask(context: Context, candidate: Candidate, images: Sequence[ImageSource]) -> dict[str, np.ndarray]:
    head = load_head(context.store, candidate, context.settings)
    reader = _reader(context, candidate)
    if any(image.image_id not in reader for image in images):
        restored = candidate.restore_settings(context.settings)
        maps = describe_maps(context, restored, candidate.variant, images)
        if maps.fingerprint != candidate.fingerprint:
            raise FingerprintError(
                f"Feature maps for {candidate.name} of run {candidate.run_id} cannot be made any more: its fingerprint "
                f"is {candidate.fingerprint}, this version of Quartet, with its weights, makes {maps.fingerprint}.",
                "Go back to the version or the weights it was trained with.",
            )
        extract_maps(context, restored, [maps], missing_images(context, maps, images))
        reader = _reader(context, candidate)
    return predict_head(head, reader, [image.image_id for image in images])


def _reader(context: Context, candidate: Candidate) -> FeatureReader:
    return FeatureReader(context.store, candidate.features, context.settings.store.cache_dir)
