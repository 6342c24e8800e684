from collections.abc import Sequence
from datetime import UTC, datetime

from tests.bench import document
from tests.bench.growth import Grown
from tests.bench.queries import QUESTIONS
from tests.bench.rare import Rare
from tests.bench.reads import Measured, Reads
from tests.bench.report import Table, markdown, times
from tests.bench.results import Results, lines
from tests.bench.servers import HANDWRITTEN, ORACLE, POSTGRAPHILE, TUNEGRAPH, Side
from tests.bench.start import BASE, PROGRAM, WITH_TABLES, Imported, Start

READS, LIVE = 9, 15  # how many lines there are
NOW = datetime(2026, 2, 6, tzinfo=UTC)


def measured(side: Side, server: float, rate: float) -> Measured:
    return Measured(side, server / 1e4, 0.001, rate * 1e3, 1_000, server, 1.0, rate)


def reads(*rows: Measured, missing: dict[str, str] | None = None) -> Reads:
    names = [question.name for question in QUESTIONS]
    base = measured(HANDWRITTEN, 1.0, 1.0)
    return Reads(dict.fromkeys(names, 5), {name: [base, *rows] for name in names}, missing or {})


def verdicts(results: Results) -> Sequence[tuple[str, bool | None]]:
    return [(line.found, line.holds) for line in lines(results)]


def test_nothing_holds_that_was_not_measured() -> None:
    assert verdicts(Results()) == [("not measured", None)] * (READS + LIVE)


def test_reads_are_held_against_each_side_that_was_there() -> None:
    ours = measured(TUNEGRAPH, 1.1, 0.9)
    others = measured(ORACLE, 33.0, 0.05), measured(POSTGRAPHILE, 4.4, 0.5)

    assert verdicts(Results(reads=reads(ours, *others)))[:4] == [
        ("1.10 · 1.10 · 1.10", True),
        ("4.00", False),
        ("1.80", False),
        ("30", True),
    ]


def test_a_side_that_was_left_out_leaves_its_lines_open() -> None:
    ours = measured(TUNEGRAPH, 1.3, 0.9)

    found = verdicts(Results(reads=reads(ours, missing={"PostGraphile 5": "no npm"})))

    assert [holds for _, holds in found[:4]] == [False, None, None, None]


def test_growth_compares_pages_in_one_database_and_one_page_in_both() -> None:
    grown = [Grown(10, 1, 1e-3, 1.0), Grown(10, 500, 1e-3, 1.1), Grown(99, 1, 1e-3, 1.5), Grown(99, 500, 2e-3, 1.8)]

    assert verdicts(Results(growth=grown))[4:6] == [("1.10 · 1.20", False), ("1.50 · 1.64", False)]


def test_the_slowest_rare_filter_speaks_for_all() -> None:
    tried = [Rare("a", 1e-3, 2e-3, 2.0), Rare("b", 1e-3, 0.9, 900.0)]

    assert verdicts(Results(rare=tried))[6] == ("900", False)


def test_what_a_server_has_imported_is_named() -> None:
    imports = [Imported(BASE, 0.2, 40, 1.0), Imported(WITH_TABLES, 0.3, 50, 1.6), Imported(PROGRAM, 0.4, 60, 2.0)]

    assert verdicts(Results(start=Start(imports, "")))[7:READS] == [
        ("2.00 (1.25 with sqlmodel)", True),
        ("none of them", True),
    ]
    assert verdicts(Results(start=Start(imports, "mlflow")))[8] == ("mlflow", False)


def test_ratios_have_as_many_digits_as_mean_something() -> None:
    assert [times(ratio) for ratio in (1.234, 9.999, 31.4, float("nan"))] == ["1.23", "10.00", "31", "-"]


def test_a_table_reads_as_markdown() -> None:
    table = Table("Title", ("", "a|b"), [("x", "1")], "Note.")

    assert markdown(table) == "### Title\n\n|  | a\\|b |\n| --- | ---: |\n| x | 1 |\n\nNote."


def test_the_page_tells_command_date_machine_and_what_was_left_out() -> None:
    results = Results(
        reads=reads(measured(TUNEGRAPH, 1.0, 1.0), missing={"PostGraphile 5": "there is no npm\n/some/where"})
    )

    page = document.written(results, command="python -m tests.bench", machine="2 cores", jobs=64, moment=NOW)

    assert "`python -m tests.bench` wrote this page on 2026-02-06: 2 cores." in page
    assert "PostGraphile 5 was left out: there is no npm." in page
    assert "| Tunegraph | 1.00 | 1.00 | 1.00 | 100 | 1,000 | 1,000 | 1.0 |" in page
    assert page.count("\n### ") == len(QUESTIONS)
