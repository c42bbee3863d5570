"""Targets are met or missed as the figures say, and the report shows both."""

from __future__ import annotations

import json

import pytest

from bench import arithmetic, cores, first_answer, guest_kernel, planes, rounds, startup
from bench.__main__ import main
from bench.contender import Report
from bench.figures import Sample
from bench.plane_labs import DIRECT, MAPE, NFT, PLAIN
from bench.planes import Turn, Turns
from bench.rounds import Measured, Results
from bench.section import Section, Target, markdown, section_json
from bench.startup import BIG, FLOOR, MININET, OURS, SIZES
from testbed.errors import LabError
from testbed.guest.kernel_cache import Manifest


def _measured(up: float, down: float = 0.01, processes: int = 0) -> Measured:
    return Measured(Sample.of([up, up, up]), Sample.of([down] * 3), processes)


def _results(ours: float, mininet: float, down: float = 0.01, idle: int = 0) -> Results:
    results = {(FLOOR, size): _measured(0.01) for size in SIZES}
    results |= {(OURS, size): _measured(ours, down, idle) for size in (*SIZES, BIG)}
    return results | {(MININET, size): _measured(mininet, processes=size) for size in SIZES}


def _verdicts(section: Section) -> list[bool]:
    return [target.met for target in section.targets]


def test_startup_targets_are_judged_by_ratios() -> None:
    good = startup.judge(_results(ours=0.03, mininet=0.3))
    assert _verdicts(good) == [True] * len(good.targets)
    assert len(good.targets) == len(SIZES) + 4
    slow = startup.judge(_results(ours=0.031, mininet=0.3, down=0.1, idle=1))
    missed = [target.what for target in slow.targets if not target.met]
    assert missed == [
        "10 routers up in at most 3 times the floor",
        "50 routers up in at most 3 times the floor",
        "200 routers up in at most 3 times the floor",
        "200 routers up at least 10 times faster than Mininet",
        "down returns in less than 100 ms at 200 routers",
        "no process for an idle node",
    ]


def test_without_mininet_there_is_no_verdict_on_it() -> None:
    results = {key: value for key, value in _results(0.02, 1).items() if key[0] != MININET}
    section = startup.judge(results, skipped=["Mininet: not installed"])
    assert not any("Mininet" in target.what for target in section.targets)
    assert "**Not measured:** Mininet: not installed" in markdown("x", [], [section])


def test_a_contender_that_failed_misses_its_targets_and_spares_the_others() -> None:
    results = _results(ours=0.02, mininet=1)
    del results[OURS, BIG]
    del results[FLOOR, 50]
    section = startup.judge(results, skipped=["testbed with 1000 routers: it failed"])
    missed = {target.what: target.measured for target in section.targets if not target.met}
    assert missed == {
        "50 routers up in at most 3 times the floor": "failed, see above",
        "1000 routers come up": "failed, see above",
    }


class _NoQuiet:
    def __enter__(self) -> _NoQuiet:
        return self

    def __exit__(self, *error: object) -> None:
        return None

    def wait(self) -> None:
        return None


def test_a_run_that_fails_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    runs: list[tuple[str, int]] = []

    def one_run(contender: str, size: int) -> Report:
        runs.append((contender, size))
        if (contender, size) == (OURS, BIG):
            raise rounds.ContenderError("no ping", where="the big one")
        return Report(up=0.01, down=0.01, works=True, processes=0)

    monkeypatch.setattr(startup, "_one_run", one_run)
    monkeypatch.setattr(rounds, "Quiet", _NoQuiet)
    monkeypatch.setattr(startup, "why_no_mininet", lambda: None)
    section = startup.run(3)
    assert runs.count((OURS, BIG)) == 1
    assert runs.count((MININET, 200)) == 3
    assert runs.count((OURS, 10)) == runs.count((FLOOR, 10)) == 9
    assert section.skipped == ("the big one: no ping",)
    assert section.data["error"] == ["the big one: no ping"]


def _turn(cost: float, **daemons: float) -> Turn:
    cpu = {role: spent / 1e6 * 1000 for role, spent in daemons.items()}
    return Turn(1000, 0.1, {"self": (cost - sum(daemons.values())) / 1e6 * 1000, **cpu})


def _turns(nft: float) -> Turns:
    costs = {DIRECT: _turn(2), PLAIN: _turn(2.5), NFT: _turn(nft), MAPE: _turn(32, ce=14, br=12)}
    return {(kind, way): [turn] * 3 for kind, turn in costs.items() for way in ("up", "down")}


def test_planes_are_compared_without_sending_and_receiving() -> None:
    section = planes.judge(_turns(nft=3))
    found = section.data[f"{MAPE}, up"]
    assert found["own_cpu_us"]["median"] == pytest.approx(30)
    assert found["nftables_ratio"]["median"] == pytest.approx(30)
    assert found["daemons_cpu_us"]["ce"]["median"] == pytest.approx(14)
    assert found["packets_per_s"]["median"] == pytest.approx(10_000)
    assert section.data[f"{PLAIN}, down"]["nftables_ratio"]["median"] == pytest.approx(0.5)
    assert len(section.table) == 1 + 2 * 4


def test_a_difference_lost_in_noise_gives_no_ratio() -> None:
    section = planes.judge(_turns(nft=1.9))
    assert "nftables_ratio" not in section.data[f"{MAPE}, up"]
    assert any("lost in noise" in row for row in section.table)


def test_turns_add_up() -> None:
    total = _turn(2, ce=1) + Turn(3000, 0.9, {"self": 0.003, "ce": 0.009})
    assert (total.packets, total.seconds) == (4000, 1.0)
    assert total.cost == pytest.approx((1e-3 * 1 + 3e-3 + 1e-3 * 1 + 9e-3) * 1e6 / 4000)
    assert total.daemons == pytest.approx({"ce": (1e-3 + 9e-3) * 1e6 / 4000})


@pytest.mark.parametrize(("microseconds", "met"), [(19.9, True), (20.0, False)])
def test_arithmetic_has_twenty_microseconds(microseconds: float, met: bool) -> None:
    section = arithmetic.judge({"look-up": Sample.of([microseconds])}, 439)
    assert _verdicts(section) == [met]
    assert "439" in section.title


@pytest.mark.parametrize(("seconds", "met"), [(2.9, True), (3.0, False)])
def test_the_first_answer_has_three_seconds(seconds: float, met: bool) -> None:
    samples = {"up returns": Sample.of([1.0]), "first answer": Sample.of([seconds])}
    assert _verdicts(first_answer.judge(samples)) == [met]


def test_the_page_must_come_from_home_a() -> None:
    first_answer.check_page("106.72.18.52 5232\n")
    for page in ("106.72.18.52 5231\n", "106.72.18.53 5232\n", "192.168.1.11 5232\n", "", "x y"):
        with pytest.raises(first_answer.AnswerError, match="not home A"):
            first_answer.check_page(page)


def test_the_cores_pass_every_packet_on() -> None:
    section = cores.run(1)
    assert [row[0] for row in section.table[1:]] == [
        "CE, up",
        "BR, up",
        "BR, down",
        "CE, down",
        "CE, up, the first packet of a flow",
    ]
    assert all(value["median"] > 0 for value in section.data["microseconds"].values())


def test_a_report_shows_what_was_missed_and_what_was_not_measured() -> None:
    section = Section(
        "Speed",
        "How fast.",
        table=(("who", "µs"), ("us | them", "1")),
        targets=(Target("fast", "9", met=False), Target("small", "1", met=True)),
        skipped=("a peer: not installed",),
        data={"raw": [1, 2]},
    )
    text = markdown("Figures", ["Head."], [section])
    assert text.splitlines()[0] == "# Figures"
    assert "| us \\| them | 1 |" in text
    assert "| fast | 9 | **missed** |" in text
    assert "| small | 1 | met |" in text
    assert "**Not measured:** a peer: not installed" in text
    again = json.loads(json.dumps(section_json(section)))
    assert again["raw"] == [1, 2]
    assert again["skipped"] == ["a peer: not installed"]


def test_a_benchmark_that_fails_is_told_and_the_others_go_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(rounds: int) -> Section:
        raise LabError(f"no lab in {rounds} rounds")

    monkeypatch.setattr("bench.__main__.BENCHMARKS", _benchmarks(fail))
    monkeypatch.setattr("sys.argv", ["bench", "--only", "broken", "whole", "--rounds", "2"])
    assert main() == 1
    shown = capsys.readouterr().out
    assert "**Not measured:** no lab in 2 rounds" in shown
    assert "## Whole" in shown


def _benchmarks(fail: object) -> dict[str, object]:
    from bench.__main__ import Benchmark

    assert callable(fail)
    return {
        "broken": Benchmark("Broken", fail, root=False),
        "whole": Benchmark("Whole", lambda rounds: Section("Whole", f"{rounds}"), root=False),
    }


@pytest.mark.parametrize(
    ("cpu_s", "size", "met"),
    [(720, 12_000_000, [True, True]), (721, 12_000_001, [False, False])],
)
def test_the_kernels_build_is_judged_by_cpu_time_and_size(
    cpu_s: float, size: int, met: list[bool]
) -> None:
    section = guest_kernel.judge(Manifest("key", {}, "6.12", size, "", 1000, cpu_s, 400))
    assert _verdicts(section) == met
    assert section_json(section)["cpu_s"] == cpu_s
    assert "12.0 minutes" in markdown("x", [], [section])
