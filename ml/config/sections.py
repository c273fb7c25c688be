"""What can be set: frozen models, one a section of the settings file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, field_validator, model_validator

from ml import layout
from ml.config.alerts import AlertSettings
from ml.config.base import Address, Fraction
from ml.config.base import Section as _Section
from ml.config.candidates import CandidateSettings
from ml.config.card import CardSettings
from ml.config.evaluation import EvaluationSettings
from ml.config.gate import GateSettings
from ml.config.monitoring import MonitoringSettings
from ml.config.promotion import PromotionSettings
from ml.config.retention import RetentionSettings
from ml.config.review import ReviewSettings
from ml.errors import ConfigError

__all__ = [
    "AugmentSettings",
    "DuplicateSettings",
    "FeatureSettings",
    "ImageSettings",
    "LandingSettings",
    "ServingSettings",
    "Settings",
    "SplitSettings",
    "StoreSettings",
    "TrainSettings",
    "ValidationSettings",
    "VariantSettings",
    "WeightsSettings",
]

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-fA-F]{64}$")]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]
Attribute = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=60, pattern=r"^[^\x00-\x1f\x7f]+$")
]
#: Columns of labels.csv with a meaning of their own, and the column that attributes go by.
NO_ATTRIBUTES = ("key", "label", "group", "image_id")


class StoreSettings(_Section):
    """Where everything durable lives: a folder, or a bucket behind the S3 API."""

    url: Address = Field("var/store", description="a folder, or s3://bucket/prefix")
    endpoint_url: Address | None = Field(None, description="S3 endpoint when it is not AWS, e.g. http://minio:9000")
    region: str = "us-east-1"
    connect_timeout_seconds: float = Field(5, gt=0)
    read_timeout_seconds: float = Field(60, gt=0)
    max_attempts: int = Field(4, ge=1, description="tries a request, with exponential backoff")
    cache_dir: Path = Field(Path("var/cache"), description="local copies of what must be memory-mapped")
    cache_limit_gib: float = Field(
        100, gt=0, description="of these copies; those that were not used for longest make room for others"
    )


class LandingSettings(_Section):
    """How the landing zone is read."""

    aliases: dict[str, str] = Field(
        default_factory=dict, description="labels that mean another, e.g. no_tumor: notumor; left is what people write"
    )
    attributes: tuple[Attribute, ...] = Field(
        (),
        description="further columns of labels.csv that are kept for each image, e.g. site, scanner; as they are "
        "written, so name none that says who a person is",
    )
    chunk_size: int = Field(2000, ge=1, description="objects that one task takes in")
    delete_after_ingest: bool = Field(
        False,
        description="remove exactly the object versions that a published snapshot has taken in or quarantined",
    )

    @field_validator("attributes")
    @classmethod
    def _columns_of_their_own(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for name in value:
            if name in NO_ATTRIBUTES:
                raise ValueError(f"'{name}' is no attribute: {', '.join(NO_ATTRIBUTES)} have a meaning of their own")
            if value.count(name) > 1:
                raise ValueError(f"'{name}' is named twice")
        return value


class ImageSettings(_Section):
    """What an acceptable image is, and the size the backbones see."""

    size: int = Field(224, ge=32, le=1024, description="height and width after resizing, pixels")
    formats: tuple[str, ...] = Field(
        ("JPEG", "PNG", "TIFF", "BMP", "WEBP", "DICOM"),
        description="formats that are tried, no others: DICOM, and Pillow's by their names there",
    )
    min_side: int = Field(32, ge=1, description="smallest accepted height or width, pixels")
    max_pixels: int = Field(50_000_000, ge=1, description="largest accepted height x width")
    max_bytes: int = Field(64 * 2**20, ge=1, description="largest accepted object, bytes")


class SplitSettings(_Section):
    """Shares of the three splits. An image's split is decided when it arrives and never changes."""

    train: Fraction = 0.7
    validation: Fraction = 0.15
    test: Fraction = 0.15
    seed: int = 7

    @model_validator(mode="after")
    def _sum_to_one(self) -> SplitSettings:
        total = self.train + self.validation + self.test
        if abs(total - 1) > 1e-9:
            raise ValueError(f"train + validation + test must be 1, not {total:g}")
        if min(self.train, self.validation, self.test) <= 0:
            raise ValueError("each of train, validation and test must be above 0")
        return self


class DuplicateSettings(_Section):
    """Which images count as nearly the same picture, and therefore go to one split."""

    max_distance: int | None = Field(
        4, ge=0, le=12, description="bits, of 64, in which perceptual hashes may differ; null finds no near-duplicates"
    )


class ValidationSettings(_Section):
    """Thresholds of the Great Expectations suite. Below or above them is critical, or warns, as each one says."""

    min_images_per_class: int = Field(10, ge=3, description="critical below")
    min_train_images_per_class: int = Field(1, ge=1, description="critical below")
    min_validation_images_per_class: int = Field(1, ge=1, description="critical below")
    min_test_images_per_class: int = Field(1, ge=1, description="critical below")
    max_class_share: Fraction = Field(0.9, description="warning when one class has more of the images")
    max_excluded_share: Fraction = Field(0.1, description="warning when more of the images are in no split")
    max_quarantined_share: Fraction = Field(0.2, description="warning above, of what arrived and of everything seen")
    max_duplicated_share: Fraction = Field(0.5, description="warning when more of what arrived was there already")
    min_brightness: float = Field(5, ge=0, le=255, description="warning below; mean grey level: finds black images")
    max_brightness: float = Field(250, ge=0, le=255, description="warning above; finds white images")
    min_contrast: float = Field(2.0, ge=0, description="warning below; standard deviation of grey levels, 0-127")
    min_sharpness: float = Field(10, ge=0, description="warning below; variance of the Laplacian: finds blurred images")
    tolerated_share: Fraction = Field(
        0.01, description="of the images that may lie outside brightness, contrast or sharpness without a warning"
    )
    min_arrived_images: int = Field(30, ge=2, description="with fewer new images drift is not measured")
    max_label_drift: float = Field(
        0.25, ge=0, description="warning above; population stability index of new images against the parent's"
    )
    max_property_drift: Fraction = Field(
        0.2, description="warning above; Kolmogorov-Smirnov statistic of new images against the parent's"
    )
    min_feature_p_value: Fraction = Field(
        0.01, description="warning below; test of new images' features against those the champion was trained on"
    )
    max_feature_images: int = Field(500, ge=2, le=5000, description="images on either side of that test")
    data_docs: bool = Field(True, description="also write Great Expectations' own pages")

    @model_validator(mode="after")
    def _ordered(self) -> ValidationSettings:
        if self.min_brightness >= self.max_brightness:
            raise ValueError(
                f"min_brightness ({self.min_brightness:g}) must be below max_brightness ({self.max_brightness:g})"
            )
        return self


class VariantSettings(_Section):
    """One backbone with its own options. The name is free; ``backbone`` picks the architecture."""

    backbone: str
    alpha: float | None = Field(None, gt=0, description="width multiplier, for backbones that have one")


class WeightsSettings(_Section):
    """Where the backbones' weights come from. ``weights: random`` is short for ``weights: {source: random}``."""

    source: Literal["imagenet", "random"] = "imagenet"
    mirror: str | None = Field(None, description="folder or s3://bucket/prefix that holds Keras's own files")
    download: bool = Field(True, description="try Keras's download when the mirror has no file")
    timeout_seconds: float = Field(30, gt=0, description="for a download's connection and each read")
    sha256: dict[str, Sha256] = Field(
        default_factory=dict, description="SHA-256 by the name of Keras's file; what is used must have it"
    )
    seed: int = Field(1, description="of random weights")


class FeatureSettings(_Section):
    """Extraction of feature maps."""

    batch_size: int | None = Field(
        None, ge=1, description="images in a batch, of which processors run two at once; null measures what is fastest"
    )
    shard_size: int = Field(512, ge=1, description="images in one cached file")
    part_size: int = Field(4096, ge=1, description="images that one task extracts, for all variants that lack them")
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto",
        description="of a backbone's arithmetic; auto compares both on real images once for a backbone and its "
        "weights, and takes bfloat16 where it is faster and sound",
    )


class AugmentSettings(_Section):
    """Views of training images: changes so small that a radiologist would call them the same picture."""

    views: int = Field(0, ge=0, le=64, description="of each training image, beside itself; each costs a backbone pass")
    rotation_degrees: float = Field(7, ge=0, le=180, description="largest turn, either way")
    zoom: Fraction = Field(0.05, description="largest change of scale, either way")
    brightness: Fraction = Field(0.1, description="largest change of brightness, either way")
    flip: bool = Field(False, description="mirror left and right: off, since sides mean something in medicine")


class TrainSettings(_Section):
    """The attention head and its training."""

    epochs: int = Field(20, ge=1, description="at most; `patience` may end a training before")
    batch_size: int = Field(32, ge=1, description="images a step")
    learning_rate: float = Field(3e-4, gt=0, description="of Adam, at its highest")
    schedule: Literal["cosine", "constant"] = Field(
        "cosine", description="of the learning rate; cosine lets it fall to a hundredth over all epochs"
    )
    warmup_epochs: float = Field(1, ge=0, description="in which the learning rate rises to its highest; 0 for none")
    patience: int = Field(
        5, ge=1, description="epochs without a better validation macro F1, or the same at a lower loss, before stopping"
    )
    attention: bool = Field(
        True, description="of the heads; false takes a plain mean over the map's positions in its place"
    )
    heads: int = Field(8, ge=1, description="of the attention")
    key_dim: int = Field(64, ge=1, description="size of a query, a key and a value in each head")
    units: int = Field(256, ge=1, description="of the dense layer")
    noise: float = Field(0.1, ge=0, description="standard deviation of the Gaussian noise")
    dropout: float = Field(0.3, ge=0, lt=1, description="share of the dense layer's outputs that a step leaves out")
    imbalance: Literal["random_over", "class_weight", "none"] = Field(
        "random_over",
        description="classes of unequal size: repeat images of the smaller ones, or weigh them more in the loss",
    )
    warm_start: bool = Field(
        False, description="start from the head of the champion's run where it fits, instead of from random weights"
    )
    warm_epochs: int = Field(5, ge=1, description="instead of `epochs`, for a head that started warm")
    checkpoint_seconds: float = Field(
        10, ge=0, description="time after which an epoch's end is kept, to go on from when killed; 0 keeps every one"
    )
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto", description="of the products in training; auto takes bfloat16 where the machine has it"
    )
    seed: int = Field(7, description="of weights, order, noise, dropout and oversampling")


class ServingSettings(_Section):
    """The model server: where clients find it, and the folder it serves from."""

    model_dir: Path = Path("var/models")
    host: str = "127.0.0.1"
    grpc_port: int = Field(8500, ge=1, le=65535)
    rest_port: int = Field(8501, ge=1, le=65535)
    timeout_seconds: float = Field(30, gt=0)
    label: str | None = Field(
        "stable", min_length=1, description="that clients ask; null asks the highest version that is loaded"
    )
    retries: int = Field(4, ge=0, le=20, description="of a client's call while the server is unavailable")
    sync_port: int | None = Field(
        None, ge=1, le=65535, description="of the sync beside the server, for its health and metrics; null for none"
    )


def _default_variants() -> dict[str, VariantSettings]:
    return {
        "vgg16": VariantSettings(backbone="vgg16"),
        "vgg19": VariantSettings(backbone="vgg19"),
        "mobilenet": VariantSettings(backbone="mobilenet"),
        "xception": VariantSettings(backbone="xception"),
    }


class Settings(_Section):
    """Everything that can be set."""

    model_name: Name = Field("classifier", description="in the registry and at the model server")
    classes: tuple[str, ...] | Literal["discover"] = Field(
        "discover",
        description="the labels, in the order of the model's outputs; or read from the landing zone",
    )
    store: StoreSettings = StoreSettings()
    landing: LandingSettings = LandingSettings()
    images: ImageSettings = ImageSettings()
    split: SplitSettings = SplitSettings()
    duplicates: DuplicateSettings = DuplicateSettings()
    validation: ValidationSettings = ValidationSettings()
    variants: dict[Name, VariantSettings] = Field(default_factory=_default_variants, min_length=1)
    weights: WeightsSettings = WeightsSettings()
    features: FeatureSettings = FeatureSettings()
    augment: AugmentSettings = AugmentSettings()
    train: TrainSettings = TrainSettings()
    candidates: CandidateSettings = CandidateSettings()
    evaluation: EvaluationSettings = EvaluationSettings()
    gate: GateSettings = GateSettings()
    card: CardSettings = CardSettings()
    review: ReviewSettings = ReviewSettings()
    promotion: PromotionSettings = PromotionSettings()
    serving: ServingSettings = ServingSettings()
    monitoring: MonitoringSettings = MonitoringSettings()
    retention: RetentionSettings = RetentionSettings()
    alerts: AlertSettings = AlertSettings()
    tracking_uri: Address = Field("sqlite:///var/mlflow/mlflow.db", description="MLflow tracking and registry")
    artifact_uri: Address = Field("var/mlflow/artifacts", description="where MLflow keeps plots; a folder or s3://")

    @field_validator("weights", mode="before")
    @classmethod
    def _short_weights(cls, value: Any) -> Any:
        return {"source": value} if isinstance(value, str) else value

    def variant(self, name: str) -> VariantSettings:
        """A variant by its name.

        Raises:
            ConfigError: there is none of that name.
        """
        if name not in self.variants:
            known = ", ".join(self.variants)
            raise ConfigError(f"There is no variant '{name}'.", f"Known: {known}; or add it under `variants`.")
        return self.variants[name]

    @field_validator("variants")
    @classmethod
    def _free_names(cls, value: dict[str, VariantSettings]) -> dict[str, VariantSettings]:
        for name in value:
            if name == layout.ENSEMBLE or name.endswith(layout.ABLATION_ENDING):
                raise ValueError(f"a variant cannot be called '{name}': candidates of Quartet's own are called so")
        return value

    @model_validator(mode="after")
    def _compared_heads_are_trained_alike(self) -> Settings:
        if self.candidates.ablation and self.train.warm_start:
            raise ValueError("candidates.ablation compares heads that are trained alike: set train.warm_start to false")
        if self.candidates.ablation and not self.train.attention:
            raise ValueError("candidates.ablation asks what attention is worth: set train.attention to true")
        return self

    @field_validator("classes")
    @classmethod
    def _distinct_classes(cls, value: tuple[str, ...] | str) -> tuple[str, ...] | str:
        if value != "discover" and (len(value) < 2 or len(set(value)) != len(value)):
            raise ValueError(f"classes must be two or more different names, or 'discover', not {list(value)}")
        return value
