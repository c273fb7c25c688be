"""Servers of the tiny model that has all signatures of an export, started once for whoever asks one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from labelled_servers import labelled_server, model_server, write_model_config

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labelled_servers import RunningServer


@pytest.fixture(scope="session")
def contract_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """Serves version 4 of ``colours``, and no label."""
    from contract_model import save_contract_model

    folder = tmp_path_factory.mktemp("contract")
    save_contract_model(folder, 4)
    with model_server("colours", folder / "log", "--model_name=colours", f"--model_base_path={folder}") as server:
        yield server


@pytest.fixture(scope="session")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """Serves versions 4 and 5 of ``colours``: stable and canary."""
    from contract_model import save_contract_model

    folder = tmp_path_factory.mktemp("labelled")
    save_contract_model(folder, 4)
    save_contract_model(folder, 5, weight=8.0)
    config = folder / "models.config"
    write_model_config(config, "colours", folder, [4, 5], stable=4, canary=5)
    with labelled_server("colours", config) as server:
        # The ports are open as soon as one version is there.
        server.wait_for(v4="AVAILABLE", v5="AVAILABLE")
        yield server
