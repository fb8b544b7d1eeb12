"""What `ringdaq doctor` looks at."""

from __future__ import annotations

import ctypes
import grp
import importlib.util
import os
import platform
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from importlib import import_module, metadata
from pathlib import Path

from ringdaq.cli.demo_rig import MIB, RINGS_BYTES
from ringdaq.errors import RingdaqError
from ringdaq.scripts import sandbox
from ringdaq.scripts.landlock import covers

ENOUGH_FILES = 1024
ENOUGH_RECORDS_PER_SEC = 10_000
SPEED_RECORDS = 2_000
PR_GET_NO_NEW_PRIVS = 39

EXTRAS = {
    "net": ("grpc", "the gateway and network clients"),
    "record": ("h5py", "recording to NeXus HDF5"),
    "arrow": ("pyarrow", "handing records to Arrow tools"),
    "serial": ("serial", "instruments on serial lines"),
    "edf": ("edfio", "replaying EDF and BDF recordings"),
    "pandas": ("pandas", "windows as data frames of pandas"),
    "polars": ("polars", "windows as data frames of polars"),
    "compress": ("hdf5plugin", "packed recordings"),
    "pipeline": ("scipy", "filters in pipelines"),
    "numba": ("numba", "stages compiled by Numba"),
    "lsl": ("mne_lsl", "streams of LSL"),
    "brainflow": ("brainflow", "boards of BrainFlow"),
    "zarr": ("zarr", "export to Zarr"),
    "brainvision": ("pybv", "export to BrainVision"),
    "mat": ("scipy", "export to MATLAB"),
}


class Verdict(StrEnum):
    """How bad it is."""

    GOOD = "ok"
    WARN = "warning"
    """Something will be missing or slower."""
    STOP = "stop"
    """ringdaq cannot run like this."""


@dataclass(frozen=True)
class Check:
    """One thing that was looked at."""

    name: str
    verdict: Verdict
    found: str
    advice: str = ""
    """What to do; empty when all is well."""


def all_checks(rings: Path) -> list[Check]:
    """Look at everything, in the order of the report."""
    checks: list[Callable[[], Check]] = [
        python_version,
        core,
        lambda: ring_directory(rings),
        lambda: ring_space(rings),
        lambda: ring_speed(rings),
        open_files,
        locked_memory,
        landlock,
        seccomp,
        no_new_privileges,
        clock_source,
        serial_ports,
    ]
    return [*(check() for check in checks), *(extra(name) for name in EXTRAS)]


def python_version() -> Check:
    """Python 3.11 or newer, on Linux."""
    found = f"Python {platform.python_version()} on {platform.system()} {platform.machine()}"
    if sys.platform != "linux":
        return Check("python", Verdict.STOP, found, "ringdaq needs Linux")
    good = sys.version_info >= (3, 11)
    advice = "" if good else "ringdaq needs Python 3.11 or newer"
    return Check("python", Verdict.GOOD if good else Verdict.STOP, found, advice)


def core() -> Check:
    """The native core, of this version."""
    try:
        import_module("ringdaq.streams")
    except ImportError as error:
        return Check("core", Verdict.STOP, f"not usable: {error}", "run 'make setup'")
    return Check("core", Verdict.GOOD, metadata.version("ringdaq-core"))


def ring_directory(path: Path) -> Check:
    """The rings' directory takes files."""
    try:
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        advice = f"name another place as ring_directory in the rig file: {path}"
        return Check("ring directory", Verdict.STOP, str(error.strerror), advice)
    return Check("ring directory", Verdict.GOOD, f"writable: {path}")


def ring_space(path: Path) -> Check:
    """The rings' directory has room."""
    try:
        status = os.statvfs(path)
    except OSError as error:
        return Check("ring space", Verdict.STOP, str(error.strerror), f"there is no {path}")
    size, free = status.f_blocks * status.f_frsize, status.f_bavail * status.f_frsize
    found = f"{free // MIB} MiB of {size // MIB} MiB free"
    if free < RINGS_BYTES:
        advice = (
            f"the demo's rings need {RINGS_BYTES // MIB} MiB; in a container "
            "start it with --shm-size=1g (docker gives 64 MB), or set ring_directory in the rig"
        )
        return Check("ring space", Verdict.WARN, found, advice)
    return Check("ring space", Verdict.GOOD, found)


def ring_speed(path: Path) -> Check:
    """A ring takes records fast enough; a core that was built without optimisation does not."""
    try:
        rate = _records_per_sec(path)
    except (ImportError, OSError, RingdaqError) as error:
        return Check("ring speed", Verdict.STOP, "not measured", str(error))
    found = f"{rate:,.0f} records/s"
    if rate < ENOUGH_RECORDS_PER_SEC:
        advice = "the machine is busy, or the core is a debug build; 'make setup' builds it anew"
        return Check("ring speed", Verdict.WARN, found, advice)
    return Check("ring speed", Verdict.GOOD, found)


def _records_per_sec(path: Path) -> float:
    from ringdaq.model import Channel, StreamSpec
    from ringdaq.streams import StreamWriter

    spec = StreamSpec("doctor", "rows", (Channel("value", "float64"),))
    with tempfile.TemporaryDirectory(dir=path, prefix="ringdaq-doctor-") as directory:
        writer = StreamWriter.create(Path(directory), spec, capacity_bytes=MIB)
        begun = time.perf_counter()
        for number in range(SPEED_RECORDS):
            writer.append(number, 0.5)
        secs = time.perf_counter() - begun
        writer.close()
    return SPEED_RECORDS / secs


def open_files() -> Check:
    """A ring, a socket and a client are a file each."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    found = f"{_limit(soft)} (at most {_limit(hard)})"
    if soft != resource.RLIM_INFINITY and soft < ENOUGH_FILES:
        return Check("open files", Verdict.WARN, found, f"raise it: 'ulimit -n {ENOUGH_FILES}'")
    return Check("open files", Verdict.GOOD, found)


def locked_memory() -> Check:
    """How much memory may be pinned; nothing is pinned, so any limit does."""
    soft, _ = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    return Check("locked memory", Verdict.GOOD, _limit(soft, " bytes"))


def _limit(value: int, unit: str = "") -> str:
    return "unlimited" if value == resource.RLIM_INFINITY else f"{value}{unit}"


def landlock() -> Check:
    """The kernel can close the file system to scripts."""
    version = sandbox.probe().landlock_abi
    if version == 0:
        advice = (
            "this kernel cannot close the file system to scripts; Linux 5.13 and newer can, "
            "if 'landlock' is in the list of /sys/kernel/security/lsm"
        )
        return Check("landlock", Verdict.WARN, "none", advice)
    return Check("landlock", Verdict.GOOD, f"ABI {version}: {covers(version)}")


def seccomp() -> Check:
    """The kernel can filter a script's system calls."""
    lacking = sandbox.probe().seccomp_lacking
    if lacking is not None:
        advice = "system calls of scripts cannot be filtered on this machine"
        return Check("seccomp", Verdict.WARN, f"none: {lacking}", advice)
    return Check("seccomp", Verdict.GOOD, "available")


def no_new_privileges() -> Check:
    """The kernel can keep a script from gaining rights."""
    if ctypes.CDLL(None).prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) < 0:
        advice = "scripts are refused on this kernel; Linux 3.5 and newer can"
        return Check("no_new_privs", Verdict.STOP, "none", advice)
    return Check("no_new_privs", Verdict.GOOD, "available")


def clock_source() -> Check:
    """Reading the clock is cheap only where the processor's own counter keeps it."""
    path = Path("/sys/devices/system/clocksource/clocksource0/current_clocksource")
    try:
        name = path.read_text().strip()
    except OSError:
        return Check("clock", Verdict.WARN, "not known", f"the kernel does not say: {path}")
    if name in ("tsc", "kvm-clock", "arch_sys_counter", "hyperv_clocksource_tsc_page"):
        return Check("clock", Verdict.GOOD, name)
    return Check("clock", Verdict.WARN, name, "reading the clock is a system call here, so slow")


def serial_ports() -> Check:
    """This user may open the serial ports there are."""
    ports = sorted(p for kind in ("ttyUSB*", "ttyACM*", "ttyS*") for p in Path("/dev").glob(kind))
    if not ports:
        return Check("serial ports", Verdict.GOOD, "none on this machine")
    closed = [p for p in ports if not os.access(p, os.R_OK | os.W_OK)]
    found = f"{len(ports) - len(closed)} of {len(ports)} open to this user"
    if not closed:
        return Check("serial ports", Verdict.GOOD, found)
    group = _group_of(closed[0])
    advice = f"'sudo usermod -aG {group} $USER' and log in again, for {closed[0]}"
    if group == "root":
        advice = f"let a udev rule give them to a group of yours, such as dialout: {closed[0]}"
    return Check("serial ports", Verdict.WARN, found, advice)


def _group_of(path: Path) -> str:
    number = path.stat().st_gid
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)


def extra(name: str) -> Check:
    """An optional dependency is there."""
    module, purpose = EXTRAS[name]
    if importlib.util.find_spec(module) is not None:
        return Check(f"extra {name}", Verdict.GOOD, module)
    advice = f"for {purpose}: pip install 'ringdaq[{name}]'"
    return Check(f"extra {name}", Verdict.WARN, f"no {module}", advice)
