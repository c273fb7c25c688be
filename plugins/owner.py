"""Who looks after the DAGs, and where they are found."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ml.errors import ConfigError
from plugins.addresses import base_address, models_page

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["OWNER", "OWNER_LINK_VARIABLE", "owner_links"]

OWNER = "quartet"
#: Where people turn to: a page, a channel's address or ``mailto:``. A variable of the environment, because it is read
#: whenever a DAG file is: settings would cost a file and pydantic each time.
OWNER_LINK_VARIABLE = "QUARTET_OWNER_LINK"


def owner_links(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """The link below the owner's name, by owner; the Models page where the variable is unset.

    Raises:
        ConfigError: the variable is no address.
    """
    text = (os.environ if environ is None else environ).get(OWNER_LINK_VARIABLE, "").strip()
    return {OWNER: _checked(text) if text else models_page(base_address())}


def _checked(text: str) -> str:
    parts = urlsplit(text)
    if (parts.scheme in {"http", "https"} and parts.netloc) or (parts.scheme == "mailto" and parts.path):
        return text
    raise ConfigError(
        f"{OWNER_LINK_VARIABLE} = {text!r} is no address.", "Use https://..., http://... or mailto:..., or unset it."
    )
