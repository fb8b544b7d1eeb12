"""Plain values and errors survive the way through the contract's messages."""

from __future__ import annotations

import math
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringdaq import errors, wire
from ringdaq.v1 import types_pb2

PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 63), (1 << 63) - 1)
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=("Cs",)))
    | st.binary(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_categories=("Cs",))), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(PLAIN)
def test_a_plain_value_comes_back(plain: object) -> None:
    sent = wire.to_value(plain).SerializeToString()
    back = wire.from_value(types_pb2.Value.FromString(sent))
    assert back == plain
    assert type(back) is type(plain)


def test_nan_comes_back() -> None:
    assert math.isnan(wire.from_value(wire.to_value(math.nan)))


@pytest.mark.parametrize(
    ("boxed", "plain"),
    [
        (np.float64(1.5), 1.5),
        (np.int16(-3), -3),
        (np.bool_(True), True),
        (np.array([1, 2]), [1, 2]),
        ((1, "a"), [1, "a"]),
        (bytearray(b"x"), b"x"),
    ],
)
def test_what_means_a_plain_value_is_one(boxed: object, plain: object) -> None:
    back = wire.from_value(wire.to_value(boxed))
    assert back == plain
    assert type(back) is type(plain)


@pytest.mark.parametrize("value", [1 << 63, -(1 << 63) - 1, object(), {1, 2}, 1j])
def test_what_has_no_place_is_refused(value: object) -> None:
    with pytest.raises(errors.BadRequestError, match="found"):
        wire.to_value(value)


@pytest.mark.parametrize("cls", errors.error_classes().values())
def test_every_error_comes_back_as_its_class(cls: type[errors.RingdaqError]) -> None:
    back = wire.unpack_error(wire.pack_error(cls("wanted ä, found ö")))
    assert type(back) is cls
    assert str(back) == "wanted ä, found ö"


def test_an_errors_fields_come_back() -> None:
    error = errors.OverrunError("lapped", stream="eeg", lost_records=3, lost_rows=9, resume_at=12)
    back = wire.unpack_error(wire.pack_error(error))
    assert back.details == error.details


def test_a_long_error_fits_into_http2() -> None:
    error = errors.ScriptFailedError("字" * 100_000, line=9, traceback="b" * 100_000 + "end")
    packed = wire.pack_error(error)
    assert len(packed) < 8_000
    back = wire.unpack_error(packed)
    assert back.details["line"] == 9
    assert str(back.details["traceback"]).endswith("end")


def test_an_error_that_is_not_ours_is_internal() -> None:
    back = wire.unpack_error(wire.pack_error(ValueError("x")))
    assert type(back) is errors.RingdaqError
    assert "ValueError" in str(back)


def test_without_grpc_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "grpc", None)
    with pytest.raises(errors.MissingExtraError, match=r"pip install 'ringdaq\[net\]'") as caught:
        wire.require_grpc()
    assert caught.value.extra == "net"
    assert "\n" not in str(caught.value)
