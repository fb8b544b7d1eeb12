"""One chain through all parts: remote client, script, instruments, rings, recorder, file."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest

pytestmark = pytest.mark.slow

SHARED = Path(__file__).parents[3] / "shared" / "data"
SCAN = """\
for i in range(60):
    stage.move_abs(i * 0.1)
    camera.trigger()
    emit(index=i, commanded=i * 0.1, reached=stage.position())
    sleep(0.05)
"""
REPLAY = """
[[instrument]]
name = "eeg"
driver = "replay.edf"
[instrument.options]
file = "{file}"
loop = true
"""
# Another process: reads the stage's rows through pyarrow where they lie in the shared mapping.
READER = """
import json, sys
from pathlib import Path
from ringdaq.streams import StreamReader, RingDirectory

reader = StreamReader.open(RingDirectory(Path(sys.argv[1])).newest("stage"))
print("attached", flush=True)
rows, inside = [], []
name = reader.path.name
lines = [line.split() for line in open("/proc/self/maps") if line.rstrip().endswith(name)]
spans = [tuple(int(end, 16) for end in line[0].split("-")) for line in lines]
sequence = 0
while len(rows) < int(sys.argv[2]):
    assert reader.wait(sequence, timeout=30)
    with reader.view(sequence) as record:
        batch = record.to_arrow()
        addresses = [b.address for b in batch.column("position").buffers() if b is not None]
        inside.append(all(any(lo <= a < hi for lo, hi in spans) for a in addresses))
        rows += batch.column("position").to_pylist()
    sequence += 1
print(json.dumps({"rows": rows, "inside": all(inside)}))
"""


def make_edf(path, *, channels=8, rate=256, seconds=4):
    """An EDF file whose first channel counts samples, so that any stretch of it tells its place."""
    import edfio

    count = rate * seconds
    random = np.random.default_rng(7)
    digital = random.integers(-20_000, 20_000, (channels, count)).astype(np.int16)
    digital[0] = np.arange(count)
    signals = [
        edfio.EdfSignal.from_digital(
            values, rate, physical_range=(-3276.8, 3276.7), digital_range=(-32768, 32767),
            label=f"EEG {n}", physical_dimension="uV",
        )
        for n, values in enumerate(digital)
    ]  # fmt: skip
    edfio.Edf(signals).write(path)


def digital_of(path):
    """The digital values of the file's channels of the commonest rate, [samples, channels]."""
    import edfio

    read = edfio.read_bdf if path.suffix == ".bdf" else edfio.read_edf
    edf = read(path)
    rates = [s.sampling_frequency for s in edf.signals]
    common = max(set(rates), key=rates.count)
    return np.stack([s.digital for s in edf.signals if s.sampling_frequency == common], axis=1)


def assert_plays(recorded, digital):
    """The recorded samples are a stretch of the looped file, value by value."""
    period = len(digital)
    starts = np.flatnonzero((digital == recorded[0]).all(axis=1))
    rounds = np.arange(len(recorded))
    assert any(np.array_equal(recorded, digital[(s + rounds) % period]) for s in starts)


def cli(state, *arguments, **more):
    """A remote client: the command line in a process of its own, over gRPC."""
    return subprocess.Popen(
        [sys.executable, "-m", "ringdaq.cli", *arguments],
        env={**os.environ, "RINGDAQ_STATE": str(state)},
        stdout=subprocess.PIPE,
        text=True,
        **more,
    )


def answer(process):
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0, out
    return json.loads(out)


def recordings_under_test():
    real = [SHARED / name for name in ("mne_test.edf", "mne_test.bdf")]
    return [("made", None), *((path.name, path) for path in real if path.exists())]


@pytest.mark.parametrize(("name", "recording"), recordings_under_test())
def test_client_script_instruments_rings_and_file_are_one_chain(
    start_daemon, tmp_path, name, recording
):
    edf = recording
    if edf is None:
        edf = tmp_path / "made.edf"
        make_edf(edf)
    daemon = start_daemon(gateway=True, mode="realistic", more=REPLAY.format(file=edf))
    script = tmp_path / "scan.py"
    script.write_text(SCAN)
    uploaded = answer(cli(daemon.state, "client", "upload", str(script), "--json"))
    rings = str(daemon.rings)
    reader = subprocess.Popen(
        [sys.executable, "-c", READER, rings, "60"], stdout=subprocess.PIPE, text=True
    )
    assert reader.stdout.readline() == "attached\n"
    run_id = answer(cli(daemon.state, "client", "start", uploaded["script_id"], "--json"))["run_id"]
    watcher = cli(daemon.state, "client", "watch", run_id, "--json", stderr=subprocess.DEVNULL)
    control = daemon.control()
    kill_halfway(control, run_id, watcher)

    params = {"run_id": run_id, "timeout": 60, "sealed": True}
    status = control.call("runs.wait", params, timeout=130)
    assert status["state"] == "completed", status["error"]
    assert status["recording"]["state"] == "sealed", status["recording"]
    for stream, counts in status["recording"]["streams"].items():
        assert counts["produced_rows"] == counts["durable_rows"] + counts["gap_rows"], stream
        assert counts["gap_rows"] == 0, stream

    live = answer_of(reader)
    assert live["inside"], "pyarrow's buffers should lie inside the mapping"
    check_file(status["recording"]["file"], live["rows"], digital_of(edf))


def kill_halfway(control, run_id, watcher):
    """SIGKILL the watching client once half of the run is done."""
    deadline = time.monotonic() + 60
    while (control.call("runs.status", {"run_id": run_id})["progress_percent"] or 0) < 50:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.kill(watcher.pid, signal.SIGKILL)
    watcher.communicate()


def answer_of(reader):
    out, _ = reader.communicate(timeout=60)
    return json.loads(out)


def check_file(path, live_positions, digital):
    with h5py.File(path) as file:
        positions = file["entry/stage/position"][:]
        # Each point was read twice: once at the end of the move, once by the script.
        assert len(positions) == 120
        np.testing.assert_allclose(positions[::2], np.arange(60) * 0.1, atol=0.01)
        assert np.array_equal(positions[:60], live_positions)
        assert np.array_equal(file["entry/events/reached"][:], positions[1::2])
        assert file["entry/stage/position"].attrs["units"] == "mm"
        assert file["entry/camera/image"].shape[0] == 60
        assert file["entry/process/script/data"][()].decode() == SCAN
        assert file["entry/loss/gap_rows"][:].sum() == 0
        assert_plays(file["entry/eeg/samples"][:], digital)


def test_the_file_opens_with_plain_h5py_while_the_run_goes_on(start_daemon):
    daemon = start_daemon(mode="realistic")
    control = daemon.control()
    script = control.call("scripts.upload", {"content": SCAN, "name": "scan.py"})
    run_id = control.call("runs.start", {"script": script["script_id"]})["run_id"]
    path = control.call("runs.status", {"run_id": run_id})["recording"]["file"]
    seen = []
    deadline = time.monotonic() + 60
    while len(seen) < 3:
        assert time.monotonic() < deadline
        state = control.call("runs.status", {"run_id": run_id})["state"]
        code = f"import h5py; print(len(h5py.File({path!r})['entry/stage/position']))"
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
        )
        if state == "running" and done.returncode == 0 and int(done.stdout) > max([0, *seen]):
            seen.append(int(done.stdout))
    assert seen == sorted(seen)
    control.call("runs.stop", {"run_id": run_id})
    params = {"run_id": run_id, "timeout": 60, "sealed": True}
    assert control.call("runs.wait", params, timeout=130)["state"] == "stopped"
    with h5py.File(path) as file:
        assert file["entry"].attrs["state"] == "stopped"
