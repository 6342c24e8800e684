import math
import os
import subprocess
import sys

import psutil
import pytest

from tests.bench import cpu
from tests.bench.harness import ratio
from tests.bench.reads import canonical, count_fields, difference

BURN = "import time\nwhile time.process_time() < 0.3: pass\n"
PARENT = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {BURN!r}]); print('done', flush=True); input()"


def test_a_ratio_is_the_median_of_what_the_rounds_say() -> None:
    assert ratio([2.0, 30.0, 3.0], [1.0, 2.0, 3.0]) == 2.0


def test_a_round_without_a_divisor_says_nothing() -> None:
    assert ratio([1.0, 6.0, 9.0], [0.0, 2.0, 3.0]) == 3.0
    assert math.isnan(ratio([1.0, 6.0], [0.0, 2.0]))


def test_every_field_of_an_answer_counts_and_so_does_each_item() -> None:
    assert count_fields({"a": 1, "b": [{"c": 1}, {"c": 2}], "d": {"e": None}}) == 6
    assert count_fields([1, "x"]) == 0


def test_blanks_and_the_form_of_numbers_make_no_difference() -> None:
    assert canonical(b'{"a": [1.0,\n 2]}') == canonical(b'{"a":[1,2.0]}') == '{"a":[1,2]}'


@pytest.mark.parametrize(
    "other", [b'{"b":1,"a":0.5}', b'{"a":0.5,"b":"1"}', b'{"a":0.25,"b":1}', b'{"a":0.5,"b":null}']
)
def test_order_types_and_values_make_a_difference(other: bytes) -> None:
    assert canonical(b'{"a":0.5,"b":1}') != canonical(other)


def test_a_difference_is_shown_where_it_begins() -> None:
    one, other = (b'{"long":"' + b"x" * 500 + b'","a":%d}' % value for value in (1, 2))

    shown = difference(one, other)

    assert len(shown) < 300
    assert '"a":1' in shown
    assert '"a":2' in shown


def test_the_time_of_a_child_that_has_ended_counts() -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"done\n"
        assert cpu.cpu_seconds(psutil.Process(process.pid)) >= 0.2  # the system counts in ticks of 10 ms, several times
        process.communicate(b"\n")


@pytest.mark.skipif(len(cpu.cores()) < 2, reason="needs two cores, and a system that lets processes choose")
def test_servers_and_those_who_ask_are_on_different_cores() -> None:
    before = os.sched_getaffinity(0)

    servers, others = cpu.server_cores(), cpu.load_cores()

    with cpu.pinned(servers):
        assert os.sched_getaffinity(0) == set(servers)
    assert os.sched_getaffinity(0) == before == {*servers, *others}
    assert set(servers).isdisjoint(others)
