import io

import pytest
from rich.console import Console

from ml.errors import DataError
from ml.terminal import leaderboard_table, run_app, trials_table

ROWS = [
    {
        "variant": "vgg16",
        "ablation_of": None,
        "latency_ms_p50": 41.23,
        "validation_macro_f1": 0.9,
        "accuracy": 0.875,
        "macro_f1": 0.87,
        "seconds": 12.34,
        "weights": "random",
    },
    {
        "variant": "xception",
        "ablation_of": None,
        "latency_ms_p50": 30.0,
        "validation_macro_f1": 0.8,
        "accuracy": 0.5,
        "macro_f1": 0.4,
        "seconds": 5.0,
        "weights": "random",
    },
]


@pytest.fixture
def console():
    return Console(file=io.StringIO(), width=140)


def test_error_is_printed_to_the_letter_with_its_remedy(console):
    def fails():
        raise DataError("There is no class [glioma].", "Add [/one].")

    with pytest.raises(SystemExit) as ended:
        run_app(fails, console)

    assert ended.value.code == 1
    assert console.file.getvalue() == "DataError: There is no class [glioma].\nRemedy: Add [/one].\n"


def test_bug_keeps_its_traceback(console):
    with pytest.raises(ZeroDivisionError):
        run_app(lambda: 1 / 0, console)


def test_table_marks_the_winner_and_keeps_the_order(console):
    console.print(leaderboard_table({"leaderboard": ROWS, "chosen": "vgg16"}))

    lines = [line for line in console.file.getvalue().splitlines() if "random" in line]
    assert [cell.strip() for cell in lines[0].split("│")[1:-1]] == [
        "* vgg16",
        "0.9000",
        "0.8750",
        "0.8700",
        "41.2",
        "12.3",
        "random",
    ]
    assert lines[1].split("│")[1].strip() == "xception"


def test_ablation_is_marked(console):
    row = ROWS[1] | {"variant": "vgg16-no-attention", "ablation_of": "vgg16"}

    console.print(leaderboard_table({"leaderboard": [ROWS[0], row], "chosen": "vgg16"}))

    assert "vgg16-no-attention (ablation)" in console.file.getvalue()


def test_champion_that_was_never_timed_has_no_latency(console):
    champion = ROWS[1] | {"version": 3, "validation_macro_f1": None, "latency_ms_p50": None}

    console.print(leaderboard_table({"leaderboard": ROWS[:1], "chosen": "vgg16", "champion": champion}))

    assert console.file.getvalue().splitlines()[-2].split("│")[5].strip() == ""


def test_champion_stands_below_the_candidates(console):
    champion = ROWS[1] | {"version": 3, "validation_macro_f1": None}

    console.print(leaderboard_table({"leaderboard": ROWS[:1], "chosen": "vgg16", "champion": champion}))

    assert "xception (version 3, in production)" in console.file.getvalue().splitlines()[-2]


def test_trials_are_listed_with_what_they_change(console):
    trials = [
        {"number": 2, "epochs": 6, "val_macro_f1": 0.91, "changes": {"units": 128, "dropout": 0.2}},
        {"number": 0, "epochs": 2, "val_macro_f1": 0.9, "changes": {}},
    ]

    console.print(trials_table("vgg16", trials))

    text = console.file.getvalue()
    assert "Trials of vgg16" in text
    assert text.index("units 128, dropout 0.2") < text.index("as configured")
