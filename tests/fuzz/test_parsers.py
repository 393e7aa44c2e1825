"""No bytes make a parser raise anything but an error that says what is wrong."""

from __future__ import annotations

import contextlib
import io
import zlib
from collections.abc import Callable

import numcodecs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryo_pick.formats.expansion import check_expansion
from tests.fuzz.harnesses import Harness, harnesses

HARNESSES = harnesses()
COSTLY = (
    "overrides",
    "trained-config",
    "trained-config-altered",
    "zarr-array",
    "zarr-chunk",
    "mrc",
)
"""Those of which one example takes more than some milliseconds."""
NO_CHANNELS = b"""\
package: detector.networks
network: shuffle_unet
params: {channels: [8, 0], blocks: [1, 1]}
classes: [a]
voxel_spacing: 20.0
trained_on: [TS_1]
patch: 0
extra: {}
"""
"""A network of which torch warns, which is an error here."""


@st.composite
def spliced(draw: Callable[..., bytes], seeds: tuple[bytes, ...]) -> bytes:
    """Random bytes, or a seed with a few pieces replaced by random ones."""
    if draw(st.booleans()):
        return draw(st.binary(max_size=200))
    data = draw(st.sampled_from(seeds))
    for _ in range(draw(st.integers(0, 3))):
        start = draw(st.integers(0, len(data)))
        stop = draw(st.integers(start, min(len(data), start + 20)))
        data = data[:start] + draw(st.binary(max_size=8)) + data[stop:]
    return data


@pytest.mark.parametrize("name", HARNESSES)
def test_any_bytes_give_a_result_or_a_refusal(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    harness: Harness = HARNESSES[name]
    n = 8 if name in COSTLY else 25

    @settings(max_examples=n)
    @given(data=spliced(harness.seeds))
    def check(data: bytes) -> None:
        with contextlib.redirect_stdout(io.StringIO()):  # --help among the words of a command line
            harness(data)

    check()


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("memory", b"9" * 400 + b"GB"),
        ("memory", "٣GB".encode()),
        ("overrides", b"data.runs=" + b"[" * 3000),
        ("overrides", b"data=" + b"x" * 5000),
        ("command-line", b"--nosuch=" + b"x" * 5000),
        ("network", NO_CHANNELS),
    ],
)
def test_what_once_broke_a_parser_is_refused(name: str, data: bytes) -> None:
    harness = HARNESSES[name]
    with pytest.raises(harness.refusal):
        harness.run(data)


@given(st.binary(max_size=400), st.integers(0, 300), st.sampled_from(["gzip", "zlib", "zstd"]))
def test_what_fits_is_let_through_and_what_does_not_is_told(
    piece: bytes, repeats: int, codec: str
) -> None:
    content = piece * repeats
    data = bytes(numcodecs.get_codec({"id": codec}).encode(content))
    check_expansion(codec, data, max(len(content), 1))
    if len(content) > 100_000:
        with pytest.raises(ValueError, match="bytes decode to"):
            check_expansion(codec, data, 50_000)


def test_a_bomb_of_many_gzip_members_is_told() -> None:
    member = zlib.compressobj(9, wbits=31)
    data = (member.compress(bytes(2**20)) + member.flush()) * 40
    with pytest.raises(ValueError, match="decode to"):
        check_expansion("gzip", data, 2**20)


def test_a_zstd_bomb_without_a_stated_size_is_told() -> None:
    frame = b"\x28\xb5\x2f\xfd\x00\x58"  # no size stated, a window, no checksum
    block = (2**17 << 3 | 1 << 1).to_bytes(3, "little") + b"\0"  # one byte 131072 times
    last = (2**17 << 3 | 1 << 1 | 1).to_bytes(3, "little") + b"\0"
    with pytest.raises(ValueError, match="decode to"):
        check_expansion("zstd", frame + block * 1000 + last, 2**20)
    check_expansion("zstd", frame + block * 7 + last, 2**20)
