"""The main thread wakes for rings and signals, whichever thread they reach."""

import signal
import subprocess
import sys
import threading

from ringdaq.daemon.bell import Bell

# A signal that the kernel gives to another thread than the main one, which sleeps.
CODE = """
import os, signal, threading
from ringdaq.daemon.bell import Bell

bell, got = Bell(), threading.Event()
signal.signal(signal.SIGTERM, lambda *_: got.set())
asleep = threading.Event()

def other():
    asleep.wait()
    signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
    threading.Event().wait(30)

threading.Thread(target=other, daemon=True).start()
asleep.set()
while not got.is_set():
    bell.wait()
print("woken", flush=True)
os._exit(0)
"""


def test_a_ring_from_another_thread_wakes_and_none_is_lost():
    bell = Bell()
    bell.ring()
    bell.wait()
    thread = threading.Thread(target=bell.ring)
    thread.start()
    bell.wait()
    thread.join()
    bell.close()
    bell.ring()


def test_a_signal_to_another_thread_wakes_the_main_one():
    done = subprocess.run(
        [sys.executable, "-c", CODE], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout == "woken\n", done.stderr


def test_closing_puts_the_wakeup_descriptor_back():
    before = signal.set_wakeup_fd(-1)
    signal.set_wakeup_fd(before)
    Bell().close()
    assert signal.set_wakeup_fd(before) == before
