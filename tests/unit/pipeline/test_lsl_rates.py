"""Rates that LSL has as float64, as the fractions that they stand for."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest
from pipeline_kit import form

from ringdaq.pipeline.graph import sane
from ringdaq.pipeline.sources.lsl_inlet import plain_rate


@pytest.mark.parametrize(
    ("hertz", "rate"),
    [
        (250.0, Fraction(250)),
        (51.2, Fraction(256, 5)),
        (333.33, Fraction(33333, 100)),
        (0.001, Fraction(1, 1000)),
        # Of sensors whose rates are a clock's, divided by whole numbers.
        (2148.148148148148, Fraction(58000, 27)),
        (1925.925925925926, Fraction(52000, 27)),
        (333.3333333333333, Fraction(1000, 3)),
        (74.07407407407408, Fraction(2000, 27)),
        (250.0000005, Fraction(2500000005, 10**7)),
    ],
)
def test_a_rate_is_the_fraction_that_its_sender_meant(hertz: float, rate: Fraction) -> None:
    assert plain_rate(hertz) == rate
    assert sane(replace(form(), rate=plain_rate(hertz))).rate == rate
