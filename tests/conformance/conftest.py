"""Tiny SavedModels, servers for them, and both protocols: what every section of the contract is tested with."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import tensorflow as tf

from model_servers import LocalServer, ProcessLauncher, start_local
from protocols import Grpc, Rest
from served_models import save_several, save_shared
from serving.server.options import ServerOptions
from serving.server.versions import RetryRule

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: Versions that are built; ``serving_default`` of each multiplies by its number.
VERSIONS = (1, 2, 3)


class Times(tf.Module):
    """``x`` float32 [N] -> ``y`` float32 [N], times a variable."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = tf.Variable(factor)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
    def multiply(self, x: Any) -> dict[str, Any]:
        return {"y": x * self.factor}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All tests of this folder ask servers."""
    folder = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(folder):
            item.add_marker(pytest.mark.server)


@pytest.fixture(scope="session")
def built_versions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for each version, by its number; not to be served from, but copied."""
    folder = tmp_path_factory.mktemp("built")
    for version in VERSIONS:
        module = Times(float(version))
        tf.saved_model.save(module, str(folder / str(version)), signatures={"serving_default": module.multiply})
    return folder


@pytest.fixture(scope="session")
def publish(built_versions: Path) -> Callable[..., Path]:
    """Put a version into a base path as promotion does: under another name first, then renamed.

    ``number`` is the version's name there; what it multiplies by is ``version``.
    """

    def put(base: Path, version: int, number: str | None = None) -> Path:
        base.mkdir(parents=True, exist_ok=True)
        temporary = base / f".tmp-{version}"
        shutil.copytree(built_versions / str(version), temporary)
        return temporary.rename(base / (number or str(version)))

    return put


@pytest.fixture
def base(tmp_path: Path, publish: Callable[..., Path]) -> Path:
    """A base path with version 1."""
    publish(tmp_path / "m", 1)
    return tmp_path / "m"


@pytest.fixture
def config_path(tmp_path: Path) -> Path:
    """Where a model config file may be written."""
    return tmp_path / "models.config"


@pytest.fixture
def serve(start_server: Callable[..., LocalServer], config_path: Path) -> Callable[..., LocalServer]:
    """Start a server in this process from the text of a model config file, with quick polls and no second try."""

    def start(text: str, **options: Any) -> LocalServer:
        config_path.write_text(text)
        defaults = {"model_config_file": config_path, "poll_seconds": 0.05, "retry": RetryRule(0)}
        return start_server(ServerOptions(**defaults | options))

    return start


@pytest.fixture
def start_server() -> Iterator[Callable[..., LocalServer]]:
    """Start a server in this process from ``ServerOptions``; it is closed after the test."""
    started: list[LocalServer] = []

    def start(options: Any) -> LocalServer:
        started.append(start_local(options))
        return started[-1]

    yield start
    for local in started:
        assert local.server.close()


@pytest.fixture(params=[Grpc, Rest], ids=["grpc", "rest"])
def speak(request: pytest.FixtureRequest) -> Iterator[Callable[[Any], Grpc | Rest]]:
    """From a server to a speaker of one protocol: a test that takes this runs over both."""
    yield from _speakers(request.param)


@pytest.fixture
def speak_grpc() -> Iterator[Callable[[Any], Grpc]]:
    yield from _speakers(Grpc)


@pytest.fixture
def speak_rest() -> Iterator[Callable[[Any], Rest]]:
    yield from _speakers(Rest)


@pytest.fixture
def launcher(tmp_path: Path) -> Iterator[ProcessLauncher]:
    """Start servers as processes, with tensorflow_model_server's flags."""
    launcher = ProcessLauncher(tmp_path)
    yield launcher
    launcher.end()


@pytest.fixture(scope="session")
def built_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Base paths ``several``, with version 3, and ``shared``, with version 1; see ``served_models``."""
    folder = tmp_path_factory.mktemp("models")
    save_several(folder / "several" / "3")
    save_shared(folder / "shared" / "1")
    return folder


@pytest.fixture(scope="session")
def monitoring_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("monitoring") / "monitoring.pbtxt"
    path.write_text("prometheus_config { enable: true }")
    return path


@pytest.fixture(scope="session")
def several(built_models: Path, monitoring_file: Path) -> Iterator[LocalServer]:
    """A server for the models ``several`` and ``shared``, with metrics."""
    config = monitoring_file.with_name("models.pbtxt")
    entries = [
        f'config {{ name: "{name}" base_path: "{built_models / name}" model_platform: "tensorflow" }}'
        for name in ("several", "shared")
    ]
    config.write_text(f"model_config_list {{ {' '.join(entries)} }}")
    local = start_local(ServerOptions(model_config_file=config, monitoring_config_file=monitoring_file))
    yield local
    assert local.server.close()


@pytest.fixture
def ask_grpc(several: LocalServer, speak_grpc: Callable[[Any], Grpc]) -> Grpc:
    """Speaks gRPC to ``several``."""
    return speak_grpc(several)


@pytest.fixture
def ask_rest(several: LocalServer, speak_rest: Callable[[Any], Rest]) -> Rest:
    """Speaks REST to ``several``."""
    return speak_rest(several)


def _speakers(protocol: Any) -> Iterator[Callable[[Any], Any]]:
    opened: list[Any] = []

    def open_speaker(server: Any) -> Any:
        opened.append(protocol(server))
        return opened[-1]

    yield open_speaker
    for speaker in opened:
        speaker.close()
