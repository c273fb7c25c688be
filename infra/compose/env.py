"""``make env``: the secrets of the compose stack, random, in a file that only its owner reads."""

from __future__ import annotations

import os
import secrets
import sys
from base64 import urlsafe_b64encode
from pathlib import Path

from infra.local.credentials import JWT_SECRET_BYTES, OWNER_ONLY

__all__ = ["SECRETS", "main", "render"]

PASSWORD_BYTES = 24
FERNET_BYTES = 32

#: What each is for, by variable.
SECRETS = {
    "AIRFLOW_ADMIN_PASSWORD": "Airflow's first user, admin; taken when the database is made",
    "AIRFLOW_API_SECRET_KEY": "signs sessions and the forms of the Models page",
    "AIRFLOW_FERNET_KEY": "encrypts Airflow's connections and variables in its database",
    "AIRFLOW_JWT_SECRET": "signs the tokens by which components and tasks speak to the API server",
    "POSTGRES_PASSWORD": "PostgreSQL's superuser; databases and users are made with it once",
    "AIRFLOW_DB_PASSWORD": "PostgreSQL's user airflow",
    "MLFLOW_DB_PASSWORD": "PostgreSQL's user mlflow",
    "REDIS_PASSWORD": "the queue of tasks",
    "STORE_ROOT_SECRET": "the object store's administrator, root; makes buckets and users",
    "STORE_PIPELINE_SECRET": "the object store's user pipeline: Airflow's workers, scheduler and triggerer",
    "STORE_READER_SECRET": "the object store's user reader: the Models page and the exporter",
    "STORE_SYNC_SECRET": "the object store's user sync: published versions and the record of what serves",
    "STORE_UPLOADER_SECRET": "the object store's user uploader: whoever brings images; may write to landing/ only",
    "STORE_MLFLOW_SECRET": "the object store's user mlflow: the bucket of plots",
    "GRAFANA_ADMIN_PASSWORD": "Grafana's first user, admin",
}

HEAD = """\
# Written by `make env`, for docker compose on this machine. Secrets: never commit this file, never send it.
# docs/operations.md says how to change them later.

# What runs beside the core, with commas: cpu or gpu; monitoring (Prometheus, Grafana); demo.
COMPOSE_PROFILES={profiles}
# The settings, a file of this machine. infra/compose/quartet.demo.yaml is for trying things.
QUARTET_SETTINGS_FILE={settings}
# Metrics of Airflow, which need the profile monitoring.
AIRFLOW_STATSD_ON={statsd}
"""
PROFILES = {"cpu", "gpu", "monitoring", "demo"}
PRODUCTION, DEMO = "./infra/quartet.production.yaml", "./infra/compose/quartet.demo.yaml"


def render(profiles: str) -> str:
    """The file's text, with new secrets.

    Args:
        profiles: of the compose file, with commas between them.

    Raises:
        ValueError: one is unknown, or not exactly one of cpu and gpu is among them.
    """
    names = [name.strip() for name in profiles.split(",")]
    unknown = sorted(set(names) - PROFILES)
    if unknown:
        raise ValueError(f"There is no profile {unknown[0]!r}; known: {', '.join(sorted(PROFILES))}.")
    if len({"cpu", "gpu"} & set(names)) != 1:
        raise ValueError(f"{profiles!r} must name one of cpu and gpu: they stand for the worker and the model server.")
    head = HEAD.format(
        profiles=",".join(names),
        settings=DEMO if "demo" in names else PRODUCTION,
        statsd="monitoring" in names,
    )
    lines = (f"\n# {text}\n{name}={_secret(name)}" for name, text in SECRETS.items())
    return "\n".join([head.rstrip("\n"), *lines]) + "\n"


def _secret(name: str) -> str:
    if name == "AIRFLOW_FERNET_KEY":
        return urlsafe_b64encode(secrets.token_bytes(FERNET_BYTES)).decode()
    signs = name.endswith(("_KEY", "_JWT_SECRET"))
    return secrets.token_hex(JWT_SECRET_BYTES if signs else PASSWORD_BYTES)


def main(arguments: list[str]) -> int:
    """Write ``.env``, unless there is one; 1 when nothing was written."""
    path, profiles = Path(".env"), arguments[0] if arguments else "cpu"
    try:
        text = render(profiles)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNER_ONLY)
    except ValueError as error:
        print(f"{error} Remedy: make env PROFILES=cpu,monitoring, for example.", file=sys.stderr)  # noqa: T201
        return 1
    except FileExistsError:
        print(  # noqa: T201
            "There is an .env already, and the volumes were made with its secrets: it is left alone. Change what it "
            "says by hand, or remove it together with the volumes (docker compose down --volumes).",
            file=sys.stderr,
        )
        return 1
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
    print("Wrote .env with new secrets. Next: docker compose up --build --detach")  # noqa: T201
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
