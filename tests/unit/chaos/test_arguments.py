"""The command line of a chaos run."""

from __future__ import annotations

from pathlib import Path

import pytest

from workers.bank.chaos.arguments import Options, read_arguments
from workers.bank.chaos.plan import ALL_KINDS


def _read(*arguments: str) -> Options:
    return read_arguments(arguments)


def test_by_default_it_takes_a_minute_with_every_kind_of_fault_hundreds_of_open_sagas_and_ten_hits_of_each_point() -> None:
    options = _read()
    assert (options.seconds, options.sagas, options.open, options.crashes) == (60.0, None, 200, 10)
    assert options.faults >= len(ALL_KINDS)


def test_a_short_run_and_one_of_a_given_size_have_no_crash_points_unless_told() -> None:
    assert (_read("--seconds", "20").crashes, _read("--sagas", "9").crashes, _read("--sagas", "9").open) == (0, 0, 0)
    told = _read("--sagas", "9", "--crashes", "3", "--open", "5")
    assert (told.crashes, told.open) == (3, 5)


def test_a_number_of_faults_gives_the_time_and_a_time_the_number_of_faults() -> None:
    assert _read("--faults", "100", "--sagas", "1000").seconds == 190.0
    assert _read("--seconds", "20").faults == 11


def test_the_command_to_run_again_reads_as_the_same_run() -> None:
    options = _read("--sagas", "7", "--seconds", "20.5", "--seed", "12")
    again = _read(*options.command.split()[1:])
    assert (again.sagas, again.faults, again.seconds, again.seed) == (7, 11, 20.5, 12)
    drawn = _read()
    assert _read(*drawn.command.split()[1:]).seed == drawn.seed


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--faults", "0"], "'0' is not a whole number from 1 on"),
        (["--sagas", "many"], "'many' is not a whole number from 1 on"),
        (["--seconds", "0.5"], "'0.5' is not a number of seconds from 1 to 86,400"),
        (["--seconds", "inf"], "'inf' is not a number of seconds"),
        (["--open", "-1"], "'-1' is not a whole number from 0 on"),
        (["--crashes", "few"], "'few' is not a whole number from 0 on"),
        (["--seed", "x"], "invalid int value"),
        (["--bug", "naive reader"], "unrecognized arguments"),
    ],
)
def test_wrong_usage_leaves_with_2_and_says_why(arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        _read(*arguments)
    assert left.value.code == 2
    assert says in capsys.readouterr().err


def test_a_folder_with_something_in_it_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "something").touch()
    with pytest.raises(SystemExit):
        _read("--keep", str(tmp_path))
    assert "the folder is not empty" in capsys.readouterr().err
    assert _read("--keep", str(tmp_path / "new")).keep == tmp_path / "new"
