"""Processes that are started before anybody knows their arguments."""

import os
import signal
import subprocess
import sys
import time

from ringdaq.daemon.head_start import HeadStart
from ringdaq.daemon.supervisor import GIVE_UP_CODE, Child

PATIENCE_SECS = 60
WORD = "import pathlib\npathlib.Path(arguments[0]).write_text(' '.join(arguments[1:]))"
SCRIPT = """
import os, signal, sys
from ringdaq.held import arguments_of
arguments = arguments_of(lambda: {warm_up})
if arguments is None:
    sys.exit(0)
{then}
signal.pause()
"""


def await_(condition, what):
    deadline = time.monotonic() + PATIENCE_SECS
    while not (found := condition()):
        assert time.monotonic() < deadline, f"waited {PATIENCE_SECS} s for {what}"
        time.sleep(0.01)
    return found


def child_of(then, warm_up="None"):
    return Child("helper", ["-c", SCRIPT.format(then=then, warm_up=warm_up)])


def text_of(path):
    return path.exists() and path.read_text()


def test_a_held_process_begins_with_the_arguments_it_is_given(tmp_path):
    child = child_of(WORD)
    child.start(held=True)
    child.release([str(tmp_path / "word"), "a b", '"c"'], lambda name: None)
    assert await_(lambda: text_of(tmp_path / "word"), "its word") == 'a b "c"'
    child.stop()


def test_one_that_dies_before_and_after_has_its_arguments_all_the_same(tmp_path):
    child = child_of(WORD)
    child.start(held=True)
    os.kill(child.pid, signal.SIGKILL)
    await_(lambda: child.restarts == 1, "another to be held")
    child.release([str(tmp_path / "word"), "told"], lambda name: None)
    assert await_(lambda: text_of(tmp_path / "word"), "its word") == "told"
    (tmp_path / "word").unlink()
    os.kill(child.pid, signal.SIGKILL)
    assert await_(lambda: text_of(tmp_path / "word"), "the next one's word") == "told"
    child.stop()


def test_that_one_cannot_run_is_told_also_if_it_was_known_before_anybody_asked():
    child = child_of("pass", warm_up=f"sys.exit({GIVE_UP_CODE})")
    child.start(held=True)
    await_(lambda: child.pid is None, "the process to give up")
    told = []
    child.release([], told.append)
    await_(lambda: told, "the word that it cannot run")
    assert told[0] == "helper"
    child.stop()


def test_a_held_process_ends_with_whoever_held_it():
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, SCRIPT.format(then="", warm_up="None")],
        stdout=subprocess.PIPE,
        text=True,
    )
    pid = int(holder.stdout.readline())
    fd = os.pidfd_open(pid)
    holder.kill()
    holder.communicate()
    await_(lambda: is_over(fd), "the held process to end")
    os.close(fd)


HOLDER = """
import sys, time
from ringdaq.daemon.supervisor import Child
child = Child("helper", ["-c", sys.argv[1]])
child.start(held=True)
print(child.pid, flush=True)
time.sleep(60)
"""


def is_over(fd):
    try:
        signal.pidfd_send_signal(fd, 0)
    except ProcessLookupError:
        return True
    return False


def test_a_rig_file_says_at_a_glance_which_children_it_needs(tmp_path):
    rig = tmp_path / "rig.toml"
    rig.write_text("[daemon]\ngateway = false\n")
    with HeadStart(rig) as children:
        (recorder,) = children.keep(["recorder"])
        assert recorder.name == "recorder"
        assert recorder.pid is not None
        assert [child.name for child in children.keep(["gateway"])] == ["gateway"]
        assert recorder.pid is None
    rig.write_text("[daemon\n")
    with HeadStart(rig) as children:
        assert children.keep([]) == []
