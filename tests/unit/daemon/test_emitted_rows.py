"""What a run may emit: a dry run refuses what the run itself would, in the same words."""

import itertools

import pytest
from run_stand import RunStand

from ringdaq.daemon.emitted import MAX_COLUMNS, EmittedStream
from ringdaq.daemon.twin.counts import Counts
from ringdaq.errors import RingdaqError

REFUSED = {
    "a name that is not plain": [{"größe": 1.0}],
    "a number that becomes a text": [{"x": 1.0}, {"x": "off"}],
    "a truth value that becomes a number": [{"x": True, "y": 1}, {"x": 1.0}],
    "too many names at once": [{f"c{i}": 1.0 for i in range(MAX_COLUMNS + 1)}],
    "too many names in time": [{f"c{i}": 1.0} for i in range(MAX_COLUMNS + 1)],
    "a number beyond what is exact": [{"x": 10**17}],
    "nothing": [{}],
}
TAKEN = [{"x": 1}, {"x": 2.5, "ok": True}, {"note": "a"}]


@pytest.fixture
def stream(tmp_path, ring_directory):
    stand = RunStand(tmp_path, ring_directory)
    yield EmittedStream("one", stand.publisher, lambda _: None)
    stand.close()


def refusal(take, rows):
    """The first error, and how many rows were taken before."""
    for count, row in enumerate(rows):
        try:
            take(row)
        except RingdaqError as error:
            return count, type(error), str(error)
    return None


@pytest.mark.parametrize("rows", REFUSED.values(), ids=REFUSED)
def test_a_dry_run_refuses_what_the_run_would(stream, rows):
    found = refusal(stream.emit, rows)
    assert found is not None
    assert refusal(Counts().emit, rows) == found


def test_a_refused_row_is_not_counted_and_changes_no_column(stream):
    counts = Counts()
    for row in itertools.chain(TAKEN, [{"new": 1.0, "x": "text"}]):
        refusal(counts.emit, [row])
    assert refusal(stream.emit, TAKEN) is None
    # The time in each row, then 8, 9 and 25 bytes.
    assert counts.streams() == {"run": {"rows": 3, "bytes": 3 * 8 + 8 + 9 + 25}}
