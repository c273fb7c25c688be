"""Contract, section 16: monitoring."""

import re

import pytest
from prometheus_client.parser import text_string_to_metric_families

from model_servers import start_local
from protocols import Rest, call
from served_requests import classification_request, post, predict_request
from serving.server.options import ServerOptions

PATH = "/monitoring/prometheus/metrics"
LINE = re.compile(r"(?P<name>:?[a-zA-Z_][\w:]*)(?:\{(?P<labels>[^}]*)\})? (?P<value>\S+)")


def page(rest):
    answer = rest.request("GET", PATH)
    assert (answer.status_code, answer.headers["Content-Type"].split(";")[0]) == (200, "text/plain")
    return answer.text


def samples(rest):
    """Values by name and labels, as they are spelled."""
    matches = [LINE.fullmatch(line) for line in page(rest).splitlines() if not line.startswith("#")]
    assert all(matches)
    return {(match["name"], match["labels"] or ""): float(match["value"]) for match in matches}


def grown(rest, work):
    """By how much each sample grows while work is done."""
    before = samples(rest)
    work()
    return {key: value - before.get(key, 0) for key, value in samples(rest).items() if value != before.get(key, 0)}


def test_it_is_off_unless_a_file_says_so(built_models, tmp_path):
    off = tmp_path / "off.pbtxt"
    off.write_text('prometheus_config { enable: false path: "/metrics" }')
    for path in (None, off):
        local = start_local(ServerOptions("several", built_models / "several", monitoring_config_file=path))
        rest = Rest(local)
        assert {rest.request("GET", url).status_code for url in (PATH, "/metrics")} == {404}
        rest.close()
        assert local.server.close()


def test_the_file_chooses_the_path(built_models, tmp_path):
    path = tmp_path / "monitoring.pbtxt"
    path.write_text('prometheus_config { enable: true path: "/metrics" }')
    local = start_local(ServerOptions("several", built_models / "several", monitoring_config_file=path))
    rest = Rest(local)
    statuses = [rest.request("GET", url).status_code for url in ("/metrics", PATH)]
    rest.close()
    assert local.server.close()

    assert statuses == [200, 404]


def test_requests_are_counted_by_model_and_status_over_both_protocols(ask_grpc, ask_rest):
    def work():
        call(ask_grpc.prediction.Predict, predict_request(), str)
        call(ask_grpc.prediction.Predict, predict_request("nothing"), str)
        post(ask_rest, {"instances": [1]})
        post(ask_rest, {"instances": ["a"]})
        post(ask_rest, {}, model="nobody")

    counts = {key[1]: value for key, value in grown(ask_rest, work).items() if key[0].endswith(":request_count")}

    assert counts == {
        'model_name="several",status="OK"': 2,
        'model_name="several",status="FAILED_PRECONDITION"': 1,
        'model_name="several",status="INVALID_ARGUMENT"': 1,
        'model_name="nobody",status="NOT_FOUND"': 1,
    }


def test_the_api_is_spelled_predict_over_rest_and_with_a_capital_over_grpc(ask_grpc, ask_rest):
    def work():
        call(ask_grpc.prediction.Predict, predict_request(), str)
        call(ask_grpc.prediction.Classify, classification_request("classify", 0.5), str)
        post(ask_rest, {"instances": [1]})

    name = ":tensorflow:serving:request_latency_count"
    counts = {key[1]: value for key, value in grown(ask_rest, work).items() if key[0] == name}

    assert counts == {
        'model_name="several",API="Predict",entrypoint="GRPC"': 1,
        'model_name="several",API="Classify",entrypoint="GRPC"': 1,
        'model_name="several",API="predict",entrypoint="REST"': 1,
    }


def test_requests_that_fail_are_counted_but_not_timed(ask_grpc, ask_rest):
    def work():
        call(ask_grpc.prediction.Predict, predict_request("nothing"), str)
        post(ask_rest, {"instances": ["a"]})

    names = {key[0] for key in grown(ask_rest, work)}

    assert names - {"process_resident_memory_bytes"} == {":tensorflow:serving:request_count"}


def test_the_runtimes_part_is_timed(ask_grpc, ask_rest):
    growth = grown(ask_rest, lambda: call(ask_grpc.prediction.Predict, predict_request(), str))

    labels = 'model_name="several",API="Predict",runtime="TF1"'
    assert growth[":tensorflow:serving:runtime_latency_count", labels] == 1
    runtime = growth[":tensorflow:serving:runtime_latency_sum", labels]
    whole = growth[":tensorflow:serving:request_latency_sum", 'model_name="several",API="Predict",entrypoint="GRPC"']
    assert 0 < runtime < whole < 30e6


def test_examples_are_counted(ask_grpc, ask_rest):
    request = classification_request("classify", 0.1, 0.2, 0.3)

    growth = grown(ask_rest, lambda: call(ask_grpc.prediction.Classify, request, str))

    labels = 'model="several"'
    assert growth[":tensorflow:serving:request_example_counts_sum", labels] == 3
    assert growth[":tensorflow:serving:request_example_counts_count", labels] == 1
    assert growth[":tensorflow:serving:request_example_count_total", labels] == 3


def test_latencies_have_33_buckets_of_10_times_a_power_of_1_8(ask_rest):
    post(ask_rest, {"instances": [1]})
    name = ":tensorflow:serving:request_latency_bucket"
    prefix = 'model_name="several",API="predict",entrypoint="REST",le='
    buckets = [
        key[1].removeprefix(prefix).strip('"') for key in samples(ask_rest) if key[0] == name and prefix in key[1]
    ]

    assert buckets[-1] == "+Inf"
    assert [float(limit) for limit in buckets[:-1]] == pytest.approx([10 * 1.8**power for power in range(33)], rel=1e-5)


def test_buckets_are_cumulative(ask_rest):
    post(ask_rest, {"instances": [1]})
    name = ":tensorflow:serving:request_latency"
    labels = 'model_name="several",API="predict",entrypoint="REST"'
    found = samples(ask_rest)
    buckets = [value for key, value in found.items() if key[0] == f"{name}_bucket" and key[1].startswith(labels)]

    assert buckets == sorted(buckets)
    assert buckets[-1] == found[f"{name}_count", labels] > 0


def test_prometheus_own_parser_reads_the_page(ask_rest):
    post(ask_rest, {"instances": [1]})

    families = {family.name: family for family in text_string_to_metric_families(page(ask_rest))}

    counts = families[":tensorflow:serving:request_count"]
    labels = {"model_name": "several", "status": "OK"}
    assert counts.type == "counter"
    assert [sample.value >= 1 for sample in counts.samples if sample.labels == labels] == [True]
    latency = families[":tensorflow:serving:request_latency"]
    assert latency.type == "histogram"
    assert {sample.labels["le"] for sample in latency.samples if sample.name.endswith("_bucket")} >= {"10", "+Inf"}


def test_there_are_types_and_no_help(ask_rest):
    comments = [line for line in page(ask_rest).splitlines() if line.startswith("#")]

    assert "# TYPE :tensorflow:serving:request_count counter" in comments
    assert "# TYPE :tensorflow:serving:request_latency histogram" in comments
    assert all(line.startswith("# TYPE ") for line in comments)


def test_resident_memory_is_shown_besides(ask_rest):
    assert samples(ask_rest)["process_resident_memory_bytes", ""] > 2**20
