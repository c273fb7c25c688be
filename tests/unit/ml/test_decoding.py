from __future__ import annotations

import logging
import threading
import warnings

import numpy as np
import pytest

from ml.decoding import Quiet, stretch

LOGGER = logging.getLogger("a_library.inside")


def warn_in(module: str) -> None:
    exec(compile("import warnings; warnings.warn('heard')", "file", "exec"), {"__name__": module})


def test_the_library_is_quiet_and_others_are_heard(caplog):
    with Quiet("a_library", logs=True), Quiet("a_library"):
        warn_in("a_library")
        warn_in("a_library.inside")
        LOGGER.error("heard")
        with pytest.warns(UserWarning, match="heard"):
            warn_in("a_library_of_another")

    assert not caplog.records


def test_the_library_is_heard_again_afterwards(caplog):
    with pytest.raises(KeyError), Quiet("a_library", logs=True):
        raise KeyError
    LOGGER.error("heard")

    with pytest.warns(UserWarning, match="heard"):
        warn_in("a_library")
    assert caplog.messages == ["heard"]


def test_the_library_stays_quiet_while_another_thread_is_inside():
    quiet = Quiet("a_library")
    inside, go_on = threading.Event(), threading.Event()

    def stay() -> None:
        with quiet:
            inside.set()
            go_on.wait(10)

    filters = list(warnings.filters)
    thread = threading.Thread(target=stay)
    thread.start()
    inside.wait(10)
    with quiet:
        pass
    warn_in("a_library")
    go_on.set()
    thread.join()

    assert list(warnings.filters) == filters


def test_values_are_stretched_over_8_bits():
    values = np.array([-9.0, 1.0, 2.0, 3.0, 99.0])

    assert stretch(values, 1, 3).tolist() == [0, 0, 128, 255, 255]
    assert stretch(values, 3, 3).tolist() == [0] * 5
