import pytest

from plugins import addresses


@pytest.mark.parametrize("base", ["https://airflow.example.org/a", "https://airflow.example.org/a/"])
def test_pages_lie_below_airflows_address(base):
    assert addresses.models_page(base) == "https://airflow.example.org/a/plugin/models"
    assert addresses.snapshot_page(base, "000001-ab") == (
        "https://airflow.example.org/a/quartet/snapshots/000001-ab/report/index.html"
    )


def test_a_runs_page_has_the_id_that_the_store_has():
    address = addresses.run_page("http://localhost:8080", "manual__2026-01-01T00:00:00+00:00")

    assert address == "http://localhost:8080/quartet/runs/manual__2026-01-01T00-00-00-00-00/report.html"


def test_nothing_in_an_id_leads_elsewhere():
    assert addresses.monitoring_page("http://h", "../../x") == "http://h/quartet/monitoring/x/report.html"
    assert addresses.snapshot_page("http://h", "a/../b") == "http://h/quartet/snapshots/a%2F..%2Fb/report/index.html"
