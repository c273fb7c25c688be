"""Reading the settings: a YAML file, overridden by variables, refused with the key and the known ones."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args, get_origin

import yaml
from pydantic import BaseModel, SecretStr, ValidationError

from ml.config.base import CREDENTIALS
from ml.config.sections import Settings
from ml.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["DEFAULT_FILE", "ENV_FILE", "ENV_PREFIX", "load_settings", "settings_file"]

ENV_PREFIX = "QUARTET__"
ENV_FILE = "QUARTET_CONFIG"
DEFAULT_FILE = "quartet.yaml"

#: The section whose values no message quotes: one of them may be a password in the wrong place.
SECRETIVE = "alerts"


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


def settings_file(path: Path | None = None, environ: Mapping[str, str] | None = None) -> Path | None:
    """The file that :func:`load_settings` reads; None where nobody names one and there is none here."""
    environ = os.environ if environ is None else environ
    named = path or (Path(environ[ENV_FILE]) if environ.get(ENV_FILE) else None)
    return named or (Path(DEFAULT_FILE) if Path(DEFAULT_FILE).is_file() else None)


def _read_file(path: Path | None, environ: Mapping[str, str]) -> dict[str, Any]:
    path = settings_file(path, environ)
    if path is None:
        return {}
    if not path.is_file():
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
        path = name[len(ENV_PREFIX) :].lower().split("__")
        # A password is not YAML: 007 is no number, and @ or # may stand anywhere in it.
        value: Any = (
            text or None if _is_secret(path) else _read_yaml(name, text, hide=path[0] == SECRETIVE or "@" in text)
        )
        for part in reversed(path):
            value = {part: value}
        tree = _merge(tree, _long_form(value))
    return tree


def _read_yaml(name: str, text: str, *, hide: bool) -> Any:
    remedy = "Quote the value, or unset the variable."
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        if not hide:
            raise ConfigError(f"{name}={text} is not YAML: {error}", remedy) from error
    # Outside the handler: the parser's own error, which quotes the text, must not travel along.
    raise ConfigError(f"{name} is not YAML.", remedy)


def _is_secret(path: list[str]) -> bool:
    model: type[BaseModel] = Settings
    for position, part in enumerate(path, start=1):
        field = model.model_fields.get(part)
        if field is None:
            return False
        section = _section_of(field.annotation)
        if section is None:
            # Of a mapping, one entry is a secret; the mapping itself is YAML.
            entry = position < len(path)
            return _holds_secret(field.annotation) and entry == (get_origin(field.annotation) is dict)
        model = section
    return False


def _holds_secret(annotation: Any) -> bool:
    return annotation is SecretStr or any(_holds_secret(part) for part in get_args(annotation))


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
        elif where.split(".")[0] == SECRETIVE or item["type"] == CREDENTIALS:
            lines.append(f"{where}: {item['msg']}")
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
        model = _section_of(field.annotation) or model
    return list(model.model_fields)


def _section_of(annotation: Any) -> type[BaseModel] | None:
    """The section that a field holds, also when it may be null or there are several under names."""
    for candidate in (annotation, *get_args(annotation)):
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            return candidate
    return None
