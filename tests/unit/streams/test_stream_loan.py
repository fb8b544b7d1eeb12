"""Frames and blocks that are filled in place."""

import numpy as np
import pytest

from ringdaq.errors import NotYetWrittenError, StreamError
from ringdaq.streams import StreamReader


def test_a_frame_filled_in_place_is_the_frame_that_is_read(make_writer, frames_spec):
    writer = make_writer(frames_spec, capacity_bytes=4096)
    reader = StreamReader.open(writer.path)
    for number in range(20):
        image = np.full((4, 6), number, np.uint16)
        with writer.loan() as loan:
            assert loan.array.shape == (4, 6)
            loan.array[...] = image
            with pytest.raises(NotYetWrittenError):
                reader.read(number)
            assert loan.commit(100 + number, 0.5 * number) == number
        columns = reader.read(number).columns()
        assert columns["image"].tolist() == [image.tolist()]
        assert columns["exposure"].tolist() == [0.5 * number]
        assert columns["time"].tolist() == [100 + number]
        reader.read(number).to_arrow().validate(full=True)


def test_a_loan_and_a_copy_are_the_same_bytes(make_writer, frames_spec):
    image = np.arange(24, dtype=np.uint16).reshape(4, 6)
    writer = make_writer(frames_spec)
    writer.write_frame(5, image, 0.25)
    with writer.loan() as loan:
        loan.array[...] = image
        loan.commit(5, 0.25)
    with StreamReader.open(writer.path) as reader:
        assert reader.read(0).payload == reader.read(1).payload


def test_a_block_has_the_times_of_its_rate(make_writer, samples_spec):
    writer = make_writer(samples_spec)
    block = np.arange(40, dtype=np.int32).reshape(10, 4)
    writer.write_block(7, block)
    with writer.loan(10) as loan:
        loan.array[...] = block
        loan.commit(7)
    with StreamReader.open(writer.path) as reader:
        copied, filled = reader.read(0), reader.read(1)
        assert copied.payload == filled.payload
        assert copied.last_nanos == filled.last_nanos
        assert copied.times().tolist() == filled.times().tolist()


def test_a_loan_that_is_given_back_never_existed(make_writer, samples_spec):
    writer = make_writer(samples_spec)
    with writer.loan(3):
        pass
    dropped = writer.loan(3)
    del dropped
    assert writer.statistics().records == 0
    writer.write_block(0, np.zeros((1, 4), np.int32))
    assert writer.statistics().records == 1


def test_nothing_else_is_written_meanwhile(make_writer, samples_spec):
    writer = make_writer(samples_spec)
    with writer.loan(2) as loan:
        with pytest.raises(StreamError, match="loaned"):
            writer.write_block(0, np.zeros((1, 4), np.int32))
        with pytest.raises(StreamError, match="loaned"):
            writer.loan(2)
        loan.commit(0)
        assert not loan.array.flags.writeable
        with pytest.raises(StreamError, match="ended"):
            loan.commit(0)
    writer.write_block(0, np.zeros((1, 4), np.int32))


def test_wrong_values_leave_the_loan_open(make_writer, frames_spec):
    writer = make_writer(frames_spec)
    with writer.loan() as loan:
        for nonsense in ((), ("bright",), (1.0, 2.0), (None,)):
            with pytest.raises(StreamError):
                loan.commit(0, *nonsense)
        loan.array[...] = 3
        loan.commit(0, 1.0)
    with StreamReader.open(writer.path) as reader:
        assert reader.read(0).columns()["image"].max() == 3


def test_loans_that_make_no_sense_are_refused(make_writer, scalar_spec, frames_spec, samples_spec):
    with pytest.raises(StreamError, match="frames and samples"):
        make_writer(scalar_spec).loan()
    with pytest.raises(StreamError, match="one row"):
        make_writer(frames_spec).loan(2)
    with pytest.raises(StreamError):
        make_writer(samples_spec).loan(0)
    with pytest.raises(StreamError):
        make_writer(samples_spec, capacity_bytes=4096).loan(100_000)


def test_a_closed_ring_takes_no_commit(make_writer, samples_spec):
    writer = make_writer(samples_spec)
    with writer.loan(2) as loan:
        writer.close()
        loan.array[...] = 1
        with pytest.raises(StreamError):
            loan.commit(0)
