"""Settings: read from ``quartet.yaml``, overridden by ``QUARTET__*`` variables, frozen.

The file is ``quartet.yaml`` in the working folder, or the one that ``QUARTET_CONFIG`` names. A variable
``QUARTET__TRAIN__EPOCHS=30`` overrides ``train.epochs``; its value is read as YAML.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from ml.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "FeatureSettings",
    "GateSettings",
    "ImageSettings",
    "ServingSettings",
    "Settings",
    "SplitSettings",
    "StoreSettings",
    "TrainSettings",
    "ValidationSettings",
    "VariantSettings",
    "WeightsSettings",
    "load_settings",
]

ENV_PREFIX = "QUARTET__"
ENV_FILE = "QUARTET_CONFIG"
DEFAULT_FILE = "quartet.yaml"

Fraction = Annotated[float, Field(ge=0, le=1)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class StoreSettings(_Section):
    """Where everything durable lives: a folder, or a bucket behind the S3 API."""

    url: str = Field("var/store", description="a folder, or s3://bucket/prefix")
    endpoint_url: str | None = Field(None, description="S3 endpoint when it is not AWS, e.g. http://minio:9000")
    region: str = "us-east-1"
    connect_timeout_seconds: float = Field(5, gt=0)
    read_timeout_seconds: float = Field(60, gt=0)
    max_attempts: int = Field(4, ge=1, description="tries a request, with exponential backoff")
    cache_dir: Path = Field(Path("var/cache"), description="local copies of what must be memory-mapped")


class ImageSettings(_Section):
    """What an acceptable image is, and the size the backbones see."""

    size: int = Field(224, ge=32, le=1024, description="height and width after resizing, pixels")
    formats: tuple[str, ...] = Field(
        ("JPEG", "PNG", "TIFF", "BMP", "WEBP"), description="Pillow format names that are tried, no others"
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


class ValidationSettings(_Section):
    """Thresholds of the Great Expectations suite."""

    min_images_per_class: int = Field(10, ge=3, description="critical below")
    min_test_images_per_class: int = Field(1, ge=1, description="critical below")
    max_quarantined_share: Fraction = Field(0.2, description="warning above")
    max_class_share: Fraction = Field(0.9, description="warning when one class has more of the images")
    min_contrast: float = Field(2.0, ge=0, description="warning below; standard deviation of grey levels, 0-127")


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
    seed: int = Field(1, description="of random weights")


class FeatureSettings(_Section):
    """Extraction of feature maps."""

    batch_size: int = Field(32, ge=1)
    shard_size: int = Field(512, ge=1, description="images in one cached file")
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto", description="of the backbone's arithmetic; auto takes bfloat16 where the processor has it"
    )


class TrainSettings(_Section):
    """The attention head and its training."""

    epochs: int = Field(20, ge=1)
    batch_size: int = Field(32, ge=1)
    learning_rate: float = Field(3e-4, gt=0)
    patience: int = Field(5, ge=1, description="epochs without a better validation loss before stopping")
    heads: int = Field(8, ge=1)
    key_dim: int = Field(64, ge=1)
    units: int = Field(256, ge=1)
    noise: float = Field(0.1, ge=0, description="standard deviation of the Gaussian noise")
    dropout: float = Field(0.3, ge=0, lt=1)
    oversample: Literal["random_over", "none"] = "random_over"
    seed: int = 7


class GateSettings(_Section):
    """What a winner must clear. With no rule set, nothing is promoted."""

    min_macro_f1: Fraction | None = None
    min_class_f1: Fraction | None = None
    champion_margin: float | None = Field(
        None,
        ge=0,
        le=1,
        description="macro F1 by which a challenger must beat the champion on today's test split",
    )


class ServingSettings(_Section):
    """The model server: where clients find it, and the folder it serves from."""

    model_dir: Path = Path("var/models")
    host: str = "127.0.0.1"
    grpc_port: int = Field(8500, ge=1, le=65535)
    rest_port: int = Field(8501, ge=1, le=65535)
    timeout_seconds: float = Field(30, gt=0)


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
    images: ImageSettings = ImageSettings()
    split: SplitSettings = SplitSettings()
    validation: ValidationSettings = ValidationSettings()
    variants: dict[Name, VariantSettings] = Field(default_factory=_default_variants, min_length=1)
    weights: WeightsSettings = WeightsSettings()
    features: FeatureSettings = FeatureSettings()
    train: TrainSettings = TrainSettings()
    gate: GateSettings = GateSettings()
    serving: ServingSettings = ServingSettings()
    tracking_uri: str = Field("sqlite:///var/mlflow/mlflow.db", description="MLflow tracking and registry")
    artifact_uri: str = Field("var/mlflow/artifacts", description="where MLflow keeps plots; a folder or s3://")

    @field_validator("weights", mode="before")
    @classmethod
    def _short_weights(cls, value: Any) -> Any:
        return {"source": value} if isinstance(value, str) else value

    @field_validator("classes")
    @classmethod
    def _distinct_classes(cls, value: tuple[str, ...] | str) -> tuple[str, ...] | str:
        if value != "discover" and (len(value) < 2 or len(set(value)) != len(value)):
            raise ValueError(f"classes must be two or more different names, or 'discover', not {list(value)}")
        return value


def load_settings(path: Path | None = None, environ: Mapping[str, str] | None = None) -> Settings:
    """Read the settings.

    Args:
        path: the YAML file; else ``QUARTET_CONFIG``, else ``quartet.yaml`` here when there is one.
        environ: variables to read, ``os.environ`` by default.

    Raises:
        ConfigError: the file is missing or not YAML, a key is unknown, or a value is out of range.
    """
    environ = os.environ if environ is None else environ
    data = _merge(_long_form(_read_file(path, environ)), _read_environment(environ))
    try:
        return Settings.model_validate(data)
    except ValidationError as error:
        raise ConfigError(_explain(error), _remedy(error)) from error


def _read_file(path: Path | None, environ: Mapping[str, str]) -> dict[str, Any]:
    named = path or (Path(environ[ENV_FILE]) if environ.get(ENV_FILE) else None)
    path = named or Path(DEFAULT_FILE)
    if not path.is_file():
        if named is None:
            return {}
        raise ConfigError(f"There is no settings file {path}.", f"Write one, or unset {ENV_FILE}.")
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not YAML: {error}", "Mend the line it names.") from error
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise ConfigError(f"{path} must hold keys and values, not a {type(data).__name__}.", "See quartet.yaml.")
    return data


def _read_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for name, text in sorted(environ.items()):
        if not name.startswith(ENV_PREFIX):
            continue
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise ConfigError(
                f"{name}={text} is not YAML: {error}", "Quote the value, or unset the variable."
            ) from error
        for part in reversed(name[len(ENV_PREFIX) :].lower().split("__")):
            value = {part: value}
        tree = _merge(tree, _long_form(value))
    return tree


def _long_form(data: dict[str, Any]) -> dict[str, Any]:
    """Spell out ``weights: random``, so that merging a setting beside it doesn't lose it."""
    return data | {"weights": {"source": data["weights"]}} if isinstance(data.get("weights"), str) else data


def _merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        current = merged.get(key)
        merged[key] = _merge(current, value) if isinstance(current, dict) and isinstance(value, dict) else value
    return merged


def _explain(error: ValidationError) -> str:
    lines = []
    for item in error.errors():
        where = ".".join(str(part) for part in item["loc"]) or "settings"
        if item["type"] == "extra_forbidden":
            lines.append(f"unknown setting '{where}'")
        else:
            lines.append(f"{where} = {item['input']!r}: {item['msg']}")
    return "Settings refused: " + "; ".join(lines) + "."


def _remedy(error: ValidationError) -> str:
    unknown = [item["loc"] for item in error.errors() if item["type"] == "extra_forbidden"]
    if not unknown:
        return "Correct the value; `quartet config --schema` describes every setting."
    known = sorted({name for loc in unknown for name in _known_fields(loc[:-1])})
    return f"Known there: {', '.join(known)}."


def _known_fields(parents: tuple[int | str, ...]) -> list[str]:
    model: type[BaseModel] = Settings
    for part in parents:
        field = model.model_fields.get(str(part))
        if field is None:  # a name the user chose, inside `variants`
            continue
        candidate = VariantSettings if part == "variants" else field.annotation
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            model = candidate
    return list(model.model_fields)
