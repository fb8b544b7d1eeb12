"""Every class of error has its gRPC status code."""

from __future__ import annotations

import grpc

from ringdaq import errors
from ringdaq.status import GRPC_CODES, grpc_code_name


def test_the_table_is_total() -> None:
    assert set(GRPC_CODES) == set(errors.error_classes().values())


def test_its_codes_are_grpcs() -> None:
    assert set(GRPC_CODES.values()) <= {code.name for code in grpc.StatusCode}
    assert "OK" not in GRPC_CODES.values()


def test_what_is_not_ours_is_internal() -> None:
    assert grpc_code_name(ValueError()) == "INTERNAL"
    assert grpc_code_name(KeyboardInterrupt()) == "INTERNAL"
