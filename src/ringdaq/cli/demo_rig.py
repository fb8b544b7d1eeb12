"""The demo's rig file and script."""

from __future__ import annotations

import json
from pathlib import Path

MIB = 2**20
RINGS_BYTES = 36 * MIB
"""What all rings of the demo take together, with room to spare in a /dev/shm of 64 MB."""

RIG = """\
[rig]
name = "demo"
description = "A small laboratory in one process tree"

[daemon]
grpc_port = 0
ring_capacity_bytes = "2 MiB"
ring_directory = {ring_directory}
{data_directory}
[[instrument]]
name = "stage"
driver = "simulated.stage"
simulated = true
poll_hz = 20
limits = {{ position = [0.0, 20.0] }}
options = {{ unit = "mm", velocity = 20.0, acceleration = 200.0 }}

[[instrument]]
name = "camera"
driver = "simulated.camera"
simulated = true
options = {{ width = 128, height = 96, exposure = 0.005, follows = "stage", focus = 5.0, seed = 1 }}

[[instrument]]
name = "power_meter"
driver = "simulated.power_meter"
simulated = true
poll_hz = 20
options = {{ follows = "stage", centre = 5.0, width = 2.0, seed = 2 }}

# The real driver; what answers on its serial line is a simulator in a process of its own.
[[instrument]]
name = "axis"
driver = "newport.esp300"
simulated = true
limits = {{ position = [-10.0, 10.0] }}
options = {{ port = {esp300_port}, axis = 1, unit = "mm" }}

{eeg}
[stream.camera]
capacity_bytes = "6 MiB"
"""

SIMULATED_EEG = """\
[[instrument]]
name = "eeg"
driver = "simulated.eeg"
simulated = true
options = { channels = 32, rate_hz = 4000, seed = 3 }

[stream.eeg]
capacity_bytes = "8 MiB"
"""

REPLAYED_EEG = """\
[[instrument]]
name = "eeg"
driver = "replay.edf"
options = {{ file = {file}, loop = true }}
"""

SCRIPT = """\
camera.arm()
best_power, best_position = 0.0, 0.0
for i in range(parameters["points"]):
    stage.move_abs(i * 0.5)
    axis.move_abs(i * 0.1)
    stage.wait_settled(5.0)
    axis.wait_settled(5.0)
    camera.trigger()
    power = power_meter.read()
    emit(position=stage.position(), angle=axis.position(), power=power)
    if power > best_power:
        best_power, best_position = power, stage.position()
    sleep(0.05)
print(f"most power at {best_position:.2f} mm")
"""
POINTS = 21


def rig_text(
    *, ring_directory: Path, data_directory: Path | None, esp300_port: str, recording: Path | None
) -> str:
    """The rig file of one demo."""
    eeg = SIMULATED_EEG if recording is None else REPLAYED_EEG.format(file=_toml(recording))
    return RIG.format(
        ring_directory=_toml(ring_directory),
        data_directory=f"data_directory = {_toml(data_directory)}\n" if data_directory else "",
        esp300_port=_toml(esp300_port),
        eeg=eeg,
    )


def _toml(value: str | Path) -> str:
    """A TOML string; JSON's escapes are TOML's."""
    return json.dumps(str(value), ensure_ascii=False)
