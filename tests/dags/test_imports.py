import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DAG_FILES = sorted((ROOT / "dags").glob("*.py"))
#: What costs seconds belongs into tasks: the DAG processor imports each file again and again.
HEAVY = {"boto3", "great_expectations", "keras", "matplotlib", "mlflow", "pandas", "sklearn", "tensorflow"}
MEASURE = """
import json, sys, time
import airflow.sdk
from airflow.sdk import Asset, Metadata, Param, dag, get_current_context, task, task_group
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException
before = set(sys.modules)
started = time.perf_counter()
exec(compile(open(sys.argv[1]).read(), sys.argv[1], "exec"), {"__name__": "dag_file", "__doc__": "text"})
seconds = time.perf_counter() - started
print(json.dumps({"seconds": seconds, "new": sorted({name.split(".")[0] for name in set(sys.modules) - before})}))
"""


@pytest.fixture(scope="module", params=DAG_FILES, ids=lambda path: path.stem)
def imported(request):
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", MEASURE, str(request.param)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout.splitlines()[-1])


def test_dag_file_imports_nothing_heavy(imported):
    assert not HEAVY & set(imported["new"])


def test_dag_file_imports_in_less_than_a_second(imported):
    assert imported["seconds"] < 1


@pytest.mark.parametrize("folder", ["ml", "serving"])
def test_engine_does_not_know_airflow(folder):
    offenders = [
        path
        for path in (ROOT / folder).rglob("*.py")
        if "import airflow" in (text := path.read_text()) or "from airflow" in text
    ]

    assert offenders == []
