"""Where a paused run is held."""

import threading

import pytest

from ringdaq.scripts.hold import Hold


def held_thread(hold):
    through = threading.Event()
    threading.Thread(target=lambda: (hold.wait(), through.set()), daemon=True).start()
    return through


@pytest.mark.parametrize("let_go", ["resume", "release"])
def test_a_hold_holds_until_it_lets_go(let_go):
    hold = Hold()
    hold.wait()
    hold.pause()
    through = held_thread(hold)
    assert not through.wait(0.05)
    getattr(hold, let_go)()
    assert through.wait(10)
    assert not hold.asked


def test_a_released_hold_holds_nobody_again():
    hold = Hold()
    hold.release()
    hold.pause()
    hold.wait()
    assert not hold.holds
