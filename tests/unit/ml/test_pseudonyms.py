import re
import threading
from concurrent.futures import ThreadPoolExecutor

from ml.pseudonyms import Pseudonyms


def test_equal_groups_have_equal_pseudonyms_that_do_not_show_them():
    names = Pseudonyms(b"key")

    assert names.name("patient 7") == names.name("patient 7") != names.name("patient 8")
    assert re.fullmatch("g-[0-9a-f]{16}", names.name("patient 7"))


def test_another_key_gives_other_pseudonyms():
    assert Pseudonyms(b"key").name("patient 7") != Pseudonyms(b"other").name("patient 7")


def test_the_store_keeps_its_key(store):
    assert Pseudonyms.of(store).name("patient 7") == Pseudonyms.of(store).name("patient 7")


def test_processes_that_begin_at_once_agree_on_the_key(store):
    barrier = threading.Barrier(8)

    def first(_):
        barrier.wait()
        return Pseudonyms.of(store).key

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(first, range(8)))) == 1


def test_the_key_is_not_shown():
    assert "secret" not in repr(Pseudonyms(b"secret"))
