"""Settings: read from ``quartet.yaml``, overridden by ``QUARTET__*`` variables, frozen.

The file is ``quartet.yaml`` in the working folder, or the one that ``QUARTET_CONFIG`` names. A variable
``QUARTET__TRAIN__EPOCHS=30`` overrides ``train.epochs``; its value is read as YAML.
"""

from ml.config.alerts import REVEAL_SECRETS, AlertSettings, SlackSettings, SmtpSettings, WebhookSettings
from ml.config.candidates import CandidateSettings
from ml.config.card import CardSettings
from ml.config.evaluation import EvaluationSettings
from ml.config.gate import LONGEST_WAIT_HOURS, ApprovalSettings, ClassFloors, GateSettings
from ml.config.monitoring import MonitoringSettings
from ml.config.promotion import CanarySettings, InfraValidationSettings, PromotionSettings, WatchSettings
from ml.config.reading import DEFAULT_FILE, ENV_FILE, ENV_PREFIX, load_settings, settings_file
from ml.config.retention import RetentionSettings
from ml.config.review import ReviewSettings
from ml.config.sections import (
    AugmentSettings,
    DuplicateSettings,
    FeatureSettings,
    ImageSettings,
    LandingSettings,
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
    "LONGEST_WAIT_HOURS",
    "REVEAL_SECRETS",
    "AlertSettings",
    "ApprovalSettings",
    "AugmentSettings",
    "CanarySettings",
    "CandidateSettings",
    "CardSettings",
    "ClassFloors",
    "DuplicateSettings",
    "EvaluationSettings",
    "FeatureSettings",
    "GateSettings",
    "ImageSettings",
    "InfraValidationSettings",
    "LandingSettings",
    "MonitoringSettings",
    "PromotionSettings",
    "RetentionSettings",
    "ReviewSettings",
    "ServingSettings",
    "Settings",
    "SlackSettings",
    "SmtpSettings",
    "SplitSettings",
    "StoreSettings",
    "TrainSettings",
    "ValidationSettings",
    "VariantSettings",
    "WatchSettings",
    "WebhookSettings",
    "WeightsSettings",
    "load_settings",
    "settings_file",
]
