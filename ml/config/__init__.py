"""Settings: read from ``quartet.yaml``, overridden by ``QUARTET__*`` variables, frozen.

The file is ``quartet.yaml`` in the working folder, or the one that ``QUARTET_CONFIG`` names. A variable
``QUARTET__TRAIN__EPOCHS=30`` overrides ``train.epochs``; its value is read as YAML.
"""

from ml.config.reading import DEFAULT_FILE, ENV_FILE, ENV_PREFIX, load_settings
from ml.config.sections import (
    DuplicateSettings,
    FeatureSettings,
    GateSettings,
    ImageSettings,
    ServingSettings,
    Settings,
    SplitSettings,
    StoreSettings,
    TrainSettings,
    ValidationSettings,
    VariantSettings,
    WeightsSettings,
)

__all__ = [
    "DEFAULT_FILE",
    "ENV_FILE",
    "ENV_PREFIX",
    "DuplicateSettings",
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
