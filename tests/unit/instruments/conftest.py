import threading

import pytest


class HandTimer:
    """A clock that only moves when somebody waits, or when a test turns it."""

    def __init__(self):
        self.time = 1000.0

    def now(self):
        return self.time

    def wait_for(self, changed, seconds):
        self.time += seconds

    def wait_until_set(self, event, seconds):
        if not event.is_set():
            self.time += max(0.0, seconds)
        return event.is_set()


class ListSink:
    """Keeps what is written; sets `full` after `enough` records."""

    def __init__(self, enough=None):
        self.records = []
        self.full = threading.Event()
        self._enough = enough

    def _keep(self, record):
        self.records.append(record)
        if self._enough is not None and len(self.records) >= self._enough:
            self.full.set()
        return len(self.records) - 1

    def append(self, time_nanos, *values):
        return self._keep((time_nanos, *values))

    def write_rows(self, times, columns):
        return self._keep((times, columns))

    def write_block(self, first_nanos, block):
        assert block.flags.c_contiguous
        return self._keep((first_nanos, block))

    def write_frame(self, time_nanos, *images_and_values):
        return self._keep((time_nanos, *images_and_values))


@pytest.fixture
def timer():
    return HandTimer()


@pytest.fixture
def list_sink():
    return ListSink
