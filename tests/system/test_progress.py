"""Progress where no bar can be drawn: plain lines now and then, and once the time of a long fit."""

import pytest

from lowerbound.system import progress
from lowerbound.system.progress import Pace, about, bar, estimate, stages


class Clock:
    """A clock that the test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(progress.time, "monotonic", clock)
    return clock


@pytest.fixture
def notebook(monkeypatch) -> None:
    """A notebook without ipywidgets, as Rich and the importer see it."""
    monkeypatch.setattr("rich.console._is_jupyter", lambda: True)
    monkeypatch.setattr(progress, "find_spec", lambda name: None)


def follow(clock: Clock, epochs: int, seconds: float, looks: int = 4, examples: int = 100) -> None:
    """Pretends a fit whose epochs take so many seconds, with so many looks in each."""
    with bar(epochs, examples) as shown:
        for epoch in range(1, epochs + 1):
            for look in range(1, looks + 1):
                clock.now += seconds / looks
                done = examples * (epoch - 1) + examples * look // looks
                shown.steps(epoch, done, "bound -2.00")
            shown.epoch(epoch, examples * epoch, "bound -2.00, validation bound -3.00")


def test_a_file_gets_a_line_for_each_epoch_with_the_bounds_and_the_time_left(clock, capsys):
    follow(clock, epochs=4, seconds=20)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 4
    ending = "bound -2.00, validation bound -3.00, 5.0 examples/s, 40 seconds left"
    assert lines[1] == f"epoch 2/4, {ending}"


def test_fast_epochs_share_a_line(clock, capsys):
    follow(clock, epochs=150, seconds=0.125)
    lines = capsys.readouterr().err.splitlines()
    beginnings = [line.partition(",")[0] for line in lines]
    assert beginnings == ["epoch 40/150", "epoch 80/150", "epoch 120/150"]


def test_within_a_very_long_epoch_a_file_gets_some_lines(clock, capsys):
    follow(clock, epochs=1, seconds=3600, looks=360, examples=36_000)
    within = [line for line in capsys.readouterr().err.splitlines() if "of it" in line]
    assert len(within) == 11
    assert within[0].startswith("epoch 1/1, 8% of it, bound -2.00, 10 examples/s, ")


def test_a_notebook_without_ipywidgets_gets_lines_within_epochs(clock, capsys, notebook, recwarn):
    follow(clock, epochs=1, seconds=60, looks=30)
    lines = capsys.readouterr().err.splitlines()
    assert 8 <= len(lines) <= 12
    assert "of it, bound -2.00" in lines[0]
    assert not recwarn.list


def test_a_notebook_with_ipywidgets_gets_a_bar(notebook, monkeypatch):
    monkeypatch.setattr(progress, "find_spec", lambda name: object())
    assert progress._can_draw(progress._console())


def test_colours_that_are_forced_into_a_file_bring_no_bar(capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert not progress._can_draw(progress._console())


def test_the_whole_time_of_a_long_fit_is_told_once(clock, capsys):
    follow(clock, epochs=50, seconds=252)
    told = [line for line in capsys.readouterr().err.splitlines() if "this fit takes" in line]
    line = "this fit takes about 3 hours on this machine"
    advice = "--set training.epochs=2 takes about 8 minutes, for a first look"
    assert told == [f"lowerbound: {line}; {advice}"]


def test_the_time_before_the_first_report_is_no_part_of_the_pace():
    pace = Pace(1000)
    assert pace.left is None
    pace.note(100.0, 10)  # after compiling
    assert pace.left is None
    pace.note(110.0, 110)
    assert pace.rate == 10.0
    assert pace.left == 89.0


def test_a_short_fit_has_no_estimate_and_one_long_epoch_no_smaller_number():
    assert estimate(599, 50, 12.0) is None
    assert estimate(7300, 1, 7300.0) == "this fit takes about 2 hours on this machine"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "1 second"),
        (119, "119 seconds"),
        (120, "2 minutes"),
        (7200, "2 hours"),
        (172_800, "2 days"),
        (1e8, "1,157 days"),
    ],
)
def test_times_are_told_by_their_largest_unit(seconds, text):
    assert about(seconds) == text


def test_stages_are_lines_in_a_file(clock, capsys):
    with stages("report", 3) as begins:
        for name in ("a", "b", "c"):
            begins(name)
            clock.now += 6
    assert capsys.readouterr().err == "report 1/3: b\nreport 2/3: c\n"


def test_nothing_is_shown_where_nothing_is_wanted(clock, capsys):
    with bar(1, 1, show=False) as shown:
        clock.now += 1000
        shown.steps(1, 1, "x")
        shown.epoch(1, 1, "x")
    with stages("report", 1, show=False) as begins:
        clock.now += 1000
        begins("a")
    assert capsys.readouterr().err == ""
