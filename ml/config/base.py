"""What every section of the settings is."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

__all__ = ["CREDENTIALS", "Address", "Fraction", "Section"]

Fraction = Annotated[float, Field(ge=0, le=1)]

#: Type of the error of an address that has credentials, which no message may quote.
CREDENTIALS = "credentials_in_address"


def _refuse_credentials(address: str) -> str:
    if "://" in address and "@" in urlsplit(address).netloc:
        raise PydanticCustomError(
            CREDENTIALS,
            "an address is printed and stored, so it may hold no user and password: give the object store "
            "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, MLflow's server MLFLOW_TRACKING_USERNAME and "
            "MLFLOW_TRACKING_PASSWORD, PostgreSQL PGUSER and PGPASSWORD",
        )
    return address


#: A path or an address without user and password.
Address = Annotated[str, AfterValidator(_refuse_credentials)]


class Section(BaseModel):
    """Frozen; refuses unknown keys."""

    # Pydantic's own text would quote a whole section, secrets included; `load_settings` names what may be named.
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)
