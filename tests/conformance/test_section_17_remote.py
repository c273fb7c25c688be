"""The contract's section 17: base paths that are no folder of this machine."""

from __future__ import annotations

import subprocess
import sys

import pytest

from ml.errors import ServingError
from model_configs import config, model

ADDRESSES = ["s3://bucket/m", "gs://bucket/m", "hdfs://host/m"]


@pytest.mark.parametrize("address", ADDRESSES)
def test_a_remote_base_path_in_a_reload_is_not_implemented(serve, speak_grpc, base, address):
    speaker = speak_grpc(serve(config(model(base))))

    answer = speaker.reload(config(model(address)))

    assert answer.status == "UNIMPLEMENTED"
    assert answer.text.startswith(
        f"File system scheme '{address.partition(':')[0]}' not implemented (file: '{address}')"
    )
    assert speaker.predict([1.0]).ok


def test_a_remote_base_path_in_the_file_fails_the_start(serve):
    with pytest.raises(ServingError, match=r"File system scheme 's3' not implemented .*`python -m serving\.sync`"):
        serve(config(model("s3://bucket/m")))


def test_a_remote_base_path_as_a_flag_fails_the_start():
    command = [sys.executable, "-m", "serving.server", "--model_base_path=s3://bucket/m"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == 2
    assert "File system scheme 's3' not implemented (file: 's3://bucket/m')" in done.stderr


def test_the_address_of_a_local_folder_is_understood(serve, speak, base):
    assert speak(serve(config(model(f"file://{base}")))).predict([1.0]).ok
