"""The image without TensorFlow runs these processes, so they must start where there is none."""

import subprocess
import sys

import pytest

BLOCKED = """
import sys

class Without:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("tensorflow", "tensorflow_serving", "keras"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Without())
"""


@pytest.mark.parametrize(
    "start",
    [
        pytest.param("from serving.sync import main; sys.exit(main())", id="model-sync"),
        pytest.param("from ml.cli import main; sys.argv = ['quartet', 'exporter']; main()", id="exporter"),
        pytest.param(
            "from infra.compose.demo import app; from ml.terminal import run_app; from rich.console import Console;"
            "sys.argv = ['demo', 'images']; run_app(app, Console(stderr=True))",
            id="demo-images",
        ),
    ],
)
def test_starts_without_tensorflow_as_far_as_the_settings(start, tmp_path):
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", BLOCKED + start],
        env={"QUARTET_CONFIG": str(tmp_path / "none.yaml"), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert result.returncode == 1
    assert "none.yaml" in result.stderr.replace("\n", "")
    assert "Traceback" not in result.stderr
