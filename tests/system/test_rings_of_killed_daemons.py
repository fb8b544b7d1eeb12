"""A daemon that is killed again and again does not fill the memory with what it left."""

import os
import signal

from ringdaq.daemon.old_rings import LEAST_KEPT_BYTES, held_bytes

BIG = """
[stream.power_meter]
capacity_bytes = "50 MiB"
"""
KILLS = 8


def test_rings_of_killed_daemons_keep_to_their_limit(start_daemon, ring_directory):
    daemon = start_daemon(more=BIG, recorder=False)
    for _ in range(KILLS):
        os.kill(daemon.pid, signal.SIGKILL)
        daemon.process.wait()
        daemon = start_daemon(more=BIG, recorder=False)
    wanted = sum(os.stat(ring["path"]).st_size for ring in daemon.control().call("streams.list"))
    held = sum(held_bytes(path) for path in ring_directory.rglob("*.ring"))
    print(f"{KILLS} kills, {held >> 20} MiB in rings, {wanted >> 20} MiB of them live")
    assert held <= wanted + max(LEAST_KEPT_BYTES, 2 * wanted)
    assert held > wanted
