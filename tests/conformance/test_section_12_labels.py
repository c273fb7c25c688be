"""The contract's section 12: version labels."""

from __future__ import annotations

import grpc
import pytest

from model_configs import config, latest, model, specific
from model_servers import wait_until


def refused(version: int) -> str:
    return f"Request to assign label to version {version} of model m, which is not currently available for inference"


@pytest.fixture
def both(serve, speak_grpc, base, publish):
    """A server with versions 1 and 2 and no labels, and a gRPC speaker to it."""
    publish(base, 2)
    server = serve(config(model(base, specific(1, 2))))
    speaker = speak_grpc(server)
    for version in (1, 2):
        speaker.wait_for(version)
    return server, speaker


def test_a_label_answers_for_its_version(both, speak, base):
    server, operator = both
    assert operator.reload(config(model(base, specific(1, 2), stable=1, canary=2))).ok

    speaker = speak(server)

    assert speaker.predict([2.0], label="stable").value == [2.0]
    assert speaker.predict([2.0], label="canary").value == [4.0]
    assert speaker.predict([2.0]).value == [4.0]
    assert speaker.metadata(label="stable").value[0] == 1


@pytest.mark.parametrize("name", ["m", "other"], ids=["of a model", "of no model"])
def test_a_label_that_the_model_does_not_have_is_an_invalid_argument(serve, speak, base, name):
    speaker = speak(serve(config(model(base))))

    for answer in (speaker.predict([1.0], name, label="x"), speaker.metadata(name, label="x")):
        assert answer.is_status("INVALID_ARGUMENT")
        assert answer.text == "Unrecognized servable version label: x"


def test_before_the_first_configuration_a_label_is_unavailable(serve, speak):
    answer = speak(serve("")).predict([1.0], label="x")

    assert answer.is_status("UNAVAILABLE")
    assert answer.text == "Model labels does not init yet.x"


def test_a_label_is_given_only_to_a_version_that_is_available(both, base):
    _, operator = both

    answer = operator.reload(config(model(base, specific(1, 2), stable=3)))

    assert (answer.status, answer.text) == ("FAILED_PRECONDITION", refused(3))


def test_with_the_flag_a_new_label_may_wait_for_its_version(serve, speak, base, publish):
    server = serve(
        config(model(base, specific(1, 2), stable=1, canary=2)), allow_version_labels_for_unavailable_models=True
    )
    speaker = speak(server)
    answer = speaker.predict([2.0], label="canary")
    assert answer.is_status("NOT_FOUND")
    assert answer.text == "Servable not found for request: Specific(m, 2)"

    publish(base, 2)
    speaker.wait_for(2)

    assert speaker.predict([2.0], label="stable").value == [2.0]
    assert speaker.predict([2.0], label="canary").value == [4.0]


def test_with_the_flag_a_label_that_exists_moves_only_to_a_version_that_is_available(serve, speak_grpc, base):
    server = serve(config(model(base, specific(1), stable=1)), allow_version_labels_for_unavailable_models=True)
    speaker = speak_grpc(server)

    answer = speaker.reload(config(model(base, specific(1, 2), stable=2)))

    assert (answer.status, answer.text) == ("FAILED_PRECONDITION", refused(2))
    assert speaker.predict([2.0], label="stable").value == [2.0]


def test_without_the_flag_a_label_in_the_first_configuration_fails_the_start(serve, base):
    from ml.errors import ServingError

    with pytest.raises(ServingError, match=refused(1)):
        serve(config(model(base, stable=1)))


def test_the_label_check_runs_before_the_new_sources_are_applied(serve, speak_grpc, base, publish):
    publish(base, 2)
    speaker = speak_grpc(serve(config(model(base, specific(1)))))
    both = config(model(base, specific(1, 2), stable=2))

    assert speaker.reload(both).status == "FAILED_PRECONDITION"
    assert speaker.state(2) is None

    assert speaker.reload(config(model(base, specific(1, 2)))).ok
    speaker.wait_for(2)
    assert speaker.reload(both).ok
    assert speaker.predict([2.0], label="stable").value == [4.0]


def test_the_configuration_whose_labels_fail_replaces_the_stored_one_all_the_same(serve, speak_grpc, base):
    speaker = speak_grpc(serve(config(model(base, specific(1)))))
    wrong = config(model(base, specific(1), stable=7), model("/x", name="n", platform="caffe2"))
    assert speaker.reload(wrong).text == refused(7)

    answer = speaker.reload(config(model(base, specific(1)), model("/x", name="n")))

    assert answer.status == "INVALID_ARGUMENT"
    assert "For model n platform was caffe2 and new platform requested is tensorflow" in answer.text
    assert speaker.predict([1.0]).ok


def test_the_label_map_is_replaced_as_a_whole(both, speak, base):
    server, operator = both
    assert operator.reload(config(model(base, specific(1, 2), stable=1, canary=2))).ok
    assert operator.reload(config(model(base, specific(1, 2), stable=2))).ok

    speaker = speak(server)

    assert speaker.predict([2.0], label="stable").value == [4.0]
    assert speaker.predict([2.0], label="canary").text == "Unrecognized servable version label: canary"


def test_a_label_that_may_not_be_given_leaves_all_labels_as_they_are(both, speak, base):
    server, operator = both
    assert operator.reload(config(model(base, specific(1, 2), stable=1, canary=2))).ok
    assert not operator.reload(config(model(base, specific(1, 2), stable=2, canary=3))).ok

    speaker = speak(server)

    assert speaker.predict([2.0], label="stable").value == [2.0]
    assert speaker.predict([2.0], label="canary").value == [4.0]


@pytest.mark.parametrize("policy", [specific(1, 2), latest(2)], ids=["specific", "latest"])
def test_moving_a_label_back_is_a_rollback_while_the_old_version_is_loaded(both, speak, base, policy):
    server, operator = both
    speaker = speak(server)
    for version in (1, 2, 1):
        assert operator.reload(config(model(base, policy, stable=version))).ok
        assert speaker.predict([2.0], label="stable").value == [2.0 * version]


def test_a_version_that_is_labelled_and_dropped_from_the_policy_is_unloaded_and_its_label_finds_nothing(
    both, speak, base
):
    server, operator = both
    speaker = speak(server)

    assert operator.reload(config(model(base, specific(2), stable=1))).ok
    speaker.wait_for(1, "END")

    answer = speaker.predict([1.0], label="stable")
    assert answer.is_status("NOT_FOUND")
    assert answer.text == "Servable not found for request: Specific(m, 1)"


def test_a_server_of_one_model_by_flags_has_no_labels(start_server, speak, base):
    from serving.server.options import ServerOptions

    speaker = speak(start_server(ServerOptions("m", base)))

    assert speaker.predict([1.0], label="stable").is_status("INVALID_ARGUMENT")


def test_requests_by_label_never_miss_while_labels_move(both, speak_rest, base):
    """The map is one object for a request: every answer is one of the two versions."""
    server, operator = both
    assert operator.reload(config(model(base, specific(1, 2), stable=1))).ok
    speaker = speak_rest(server)
    answers = []
    for step in range(20):
        assert operator.reload(config(model(base, specific(1, 2), stable=1 + step % 2))).ok
        answers += [speaker.predict([1.0], label="stable").value]

    assert answers == [[1.0], [2.0]] * 10


def test_the_file_moves_labels_within_its_poll_interval(serve, speak, base, publish, config_path):
    publish(base, 2)
    server = serve(config(model(base, specific(1, 2))), model_config_poll_seconds=0.05)
    speaker = speak(server)
    for version in (1, 2):
        speaker.wait_for(version)

    for version in (1, 2, 1):
        config_path.write_text(config(model(base, specific(1, 2), stable=version)))
        expected = [float(version)]
        wait_until(lambda expected=expected: speaker.predict([1.0], label="stable").value == expected, 2)


def test_a_version_and_a_label_at_once_cannot_be_said(both):
    """They are one choice in ``ModelSpec``: the last one set wins, here the label."""
    _, operator = both

    answer = operator.predict([1.0], version=1, label="x")

    assert answer.status == grpc.StatusCode.INVALID_ARGUMENT.name
