import pytest

from serving.server.limits import Admission
from serving.server.status import Code, StatusError


def test_beyond_the_limit_requests_are_refused_at_once():
    admission = Admission(2)

    with admission.enter(), admission.enter(), pytest.raises(StatusError) as raised, admission.enter():
        pass

    assert raised.value.code is Code.RESOURCE_EXHAUSTED


def test_a_place_is_free_again_after_a_request_however_it_ended():
    admission = Admission(1)
    with pytest.raises(ValueError, match="x"), admission.enter():
        raise ValueError("x")

    with admission.enter():
        pass


def test_bytes_are_counted_over_all_requests_and_given_back():
    admission = Admission(8, max_bytes=10)
    with admission.enter() as first:
        first(6)
        with admission.enter() as second, pytest.raises(StatusError, match="holds 6 bytes") as raised:
            second(5)
        with admission.enter() as third:
            third(4)

    assert raised.value.code is Code.RESOURCE_EXHAUSTED
    with admission.enter() as last:
        last(10)
