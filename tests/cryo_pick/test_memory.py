import pytest

from cryo_pick.memory import parse_memory


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("4GB", 4_000_000_000),
        ("512 mb", 512_000_000),
        ("1.5GiB", 1_610_612_736),
        ("2KiB", 2048),
        ("3TB", 3_000_000_000_000),
        ("7B", 7),
    ],
)
def test_amounts(text, expected):
    assert parse_memory(text) == expected


@pytest.mark.parametrize(
    "text", ["", "4", "GB", "-4GB", "0GB", "4XB", "4GBs", "nanGB", "1e3GB", "iB"]
)
def test_what_is_no_amount_is_refused(text):
    with pytest.raises(ValueError, match="such as 4GB or 512MB"):
        parse_memory(text)
