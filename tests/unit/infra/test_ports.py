from __future__ import annotations

import socket

import pytest

from infra.local.errors import PortInUseError
from infra.local.ports import Port, is_free, require_free


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0"])
def test_a_port_that_something_listens_on_is_taken(address):
    with socket.create_server((address, 0)) as server:
        assert not is_free(server.getsockname()[1])


def test_a_port_that_is_bound_but_not_listened_on_is_taken():
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        assert not is_free(holder.getsockname()[1])


def test_a_port_is_free_right_after_its_server_is_gone():
    with socket.create_server(("127.0.0.1", 0)) as server:
        number = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", number)):
            connection, _ = server.accept()
            connection.close()
    assert is_free(number)


def test_the_error_names_port_component_and_remedy():
    with socket.create_server(("127.0.0.1", 0)) as server:
        number = server.getsockname()[1]
        with pytest.raises(PortInUseError) as caught:
            require_free("api-server", Port(number, "QUARTET_AIRFLOW_PORT"))
    assert str(number) in caught.value.message
    assert "api-server" in caught.value.message
    assert "QUARTET_AIRFLOW_PORT=" in caught.value.remedy
