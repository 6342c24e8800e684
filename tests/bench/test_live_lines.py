from dataclasses import replace

from tests.bench.active import Active, Ending, Standing
from tests.bench.asking import Asking, Held
from tests.bench.beside import Beside
from tests.bench.live_lines import Live, lines
from tests.bench.live_tables import live as tables
from tests.bench.queued import Queued
from tests.bench.watching import Fanout, Reading

BARE = Reading(20e-6, 0.010, 27e3)
STANDING = Standing(10_000, 31.2, 100.4, 3.4, 12, 0, 0.1, 0.009, 0.008)
ACTIVE = Active(1_000, 4.2, STANDING, Ending(1_000, 1_000, 12.0))
HELD = Held("a flood", 0.09, 1_000_000, 150_000_000, 0.5, 4, 4)
ASKING = Asking([HELD, replace(HELD, title="a trickle", pause=0.01)], 0.002, 100_000_000, 110_000_000)


def fanout(subscribers: int, jobs: int, ratio: float) -> Fanout:
    ours = Reading(BARE.cpu * ratio, BARE.latency * ratio, BARE.memory * ratio)
    return Fanout(subscribers, jobs, BARE, ours, ratio, ratio, ratio)


def verdicts(live: Live) -> list[tuple[str, bool | None]]:
    return [(line.found, line.holds) for line in lines(live)]


def test_nothing_holds_that_was_not_measured() -> None:
    assert verdicts(Live()) == [("not measured", None)] * 15


def test_a_part_that_broke_off_does_not_hold() -> None:
    parts = dict.fromkeys(("watching", "beside", "queued", "active", "asking"), "it broke off: no")

    assert verdicts(Live(failures=parts)) == [("it broke off: no", False)] * 15


def test_every_size_of_equal_subscribers_must_hold() -> None:
    sizes = [fanout(100, 1, 1.29), fanout(1_000, 1, 1.3), fanout(5_000, 1, 1.31), fanout(1_000, 1_000, 7.4)]

    assert verdicts(Live(fanout=sizes))[:4] == [
        ("1.29 · 1.30 · 1.31", False),
        ("1.29 · 1.30 · 1.31", False),
        ("1.30", True),
        ("148 µs (7.40 times a bare one)", True),
    ]


def test_a_size_that_was_not_delivered_to_does_not_hold() -> None:
    late = Fanout(1_000, 1, None, failure="an event had not come")
    sizes = [fanout(100, 1, 1.0), late, fanout(5_000, 1, 1.0), replace(late, jobs=1_000)]

    assert verdicts(Live(fanout=sizes))[:4] == [
        ("1.00 · - · 1.00 (failed at 1,000)", False),
        ("1.00 · - · 1.00 (failed at 1,000)", False),
        ("- (failed at 1,000)", False),
        ("failed at 1,000", False),
    ]


def test_others_must_all_be_as_quick_as_before() -> None:
    found = [Beside("list", 0.004, 0.006, 1.5), Beside("sheet", 0.004, 0.0064, 1.6)]

    assert verdicts(Live(beside=found))[4] == ("1.50 · 1.60", False)
    assert verdicts(Live(beside=found[:1]))[4] == ("1.50", True)


def test_a_line_of_jobs_is_held_to_rows_and_cpu() -> None:
    assert verdicts(Live(queued=Queued(200, 2.0, 1e3, 0.02)))[5] == ("2.0 · 2.0%", True)
    assert verdicts(Live(queued=Queued(200, 2.1, 1e3, 0.01)))[5] == ("2.1 · 1.0%", False)
    assert verdicts(Live(queued=Queued(200, 0.0, 1e3, 0.021)))[5] == ("0.0 · 2.1%", False)


def test_active_jobs_are_held_to_six_lines() -> None:
    assert verdicts(Live(active=ACTIVE))[6:12] == [
        ("31.2 s", True),
        ("100.4", True),
        ("0; 12 in all tables", True),
        ("1.12", True),
        ("1,000 of 1,000, 12 s after the last run", True),
        ("4.2; 3.4 for 10,000 that stand still", True),
    ]
    standing = replace(STANDING, gap=33.1, list_calls=106.0, rows_of_jobs=1, busy=0.0121)
    worse = Active(1_000, 5.1, standing, Ending(1_000, 999, 120.0))
    assert [holds for _, holds in verdicts(Live(active=worse))[6:12]] == [False] * 6


def test_the_worst_attack_speaks_for_all() -> None:
    assert verdicts(Live(asking=ASKING))[12:] == [
        ("90 ms (a flood)", True),
        ("1.0 MiB", True),
        ("150 MB, 110 MB afterwards", True),
    ]
    worse = replace(HELD, pause=0.101, response_bytes=2**25 + 1, memory_bytes=400_000_000)
    assert [holds for _, holds in verdicts(Live(asking=replace(ASKING, attacks=[HELD, worse])))[12:]] == [False] * 3


def test_all_that_was_measured_is_in_a_table() -> None:
    measured = Live(
        [fanout(100, 1, 1.2), Fanout(5_000, 1, None, failure="it took too long")],
        [Beside("list", 0.004, 0.006, 1.5)],
        Queued(200, 1.5, 2e3, 0.011),
        ACTIVE,
        ASKING,
    )

    made = list(tables(measured))

    assert [row for table in made[:3] for row in table.rows] == [
        ("100 of one job", "1.20", "1.20", "1.20", "24", "12.0", "32", "20", "10.0", "27"),
        ("5,000 of one job", "-", "-", "-", "-", "-", "-", "-", "-", "-"),
        ("list", "1.50", "4.0", "6.0"),
        ("200 jobs", "1.5", "2.0", "1.1%"),
    ]
    assert made[0].note == "5,000 subscribers: it took too long."
    assert ("list calls a pass", "100.4") in made[3].rows
    assert made[4].rows[0] == ("a flood", "90", "1,000.0", "150", "0.50", "4 of 4")
    assert all(len(row) == len(table.columns) for table in made for row in table.rows)
