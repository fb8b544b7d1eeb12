"""The state directory: who owns it, and how others find the daemon."""

from __future__ import annotations

import fcntl
import getpass
import grp
import hashlib
import json
import os
import secrets
from pathlib import Path
from typing import Any

from ringdaq import __version__
from ringdaq.clock import now_nanos
from ringdaq.errors import ConfigError, DaemonRunningError

# sockaddr_un holds 108 bytes, the closing zero included.
MAX_SOCKET_PATH_BYTES = 100


def default_state_directory() -> Path:
    """`$RINGDAQ_STATE`, else `ringdaq` in the XDG state directory."""
    named = os.environ.get("RINGDAQ_STATE")
    if named:
        return Path(named)
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(base) / "ringdaq"


def default_data_directory() -> Path:
    """`ringdaq` in the XDG data directory."""
    base = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(base) / "ringdaq"


def default_ring_directory(state: Path) -> Path:
    """A directory in `/dev/shm` that belongs to this state directory alone."""
    digest = hashlib.sha256(os.fsencode(state.resolve())).hexdigest()[:12]
    return Path("/dev/shm") / f"ringdaq-{os.getuid()}-{digest}"


def private_directory(path: Path) -> Path:
    """Make a directory only this user enters; refuse one that belongs to somebody else."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = path.lstat()
    if path.is_symlink() or status.st_uid != os.getuid():
        raise ConfigError(f"the directory must be this user's own and no link: {path}")
    path.chmod(0o700)
    return path


def ring_directory(path: Path, group: str | None) -> Path:
    """Make the directory of the rings: this user's own, or open to the readers of a group."""
    if group is None:
        return private_directory(path)
    number = _group_number(group)
    private_directory(path)
    os.chown(path, -1, number)
    # What is made in it gets the group too, and the core makes it readable for the group.
    path.chmod(0o2750)
    return path


def _group_number(group: str) -> int:
    try:
        number = grp.getgrnam(group).gr_gid
    except KeyError:
        raise ConfigError(
            f"'daemon.ring_group' must name a group of this machine; found {group!r}"
        ) from None
    if os.geteuid() != 0 and number not in {os.getegid(), *os.getgroups()}:
        raise ConfigError(
            f"'daemon.ring_group' must be a group of the user who runs the daemon; "
            f"{getpass.getuser()!r} is no member of {group!r} (or has not logged in since). "
            f"An administrator can add them: usermod -aG {group} {getpass.getuser()}"
        )
    return number


def write_private(path: Path, text: str) -> None:
    """Replace a file's content in one step; only this user reads it."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(fd, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


class StateDirectory:
    """A daemon's own directory, held by a lock for as long as the daemon lives."""

    def __init__(self, path: Path) -> None:
        self.path = private_directory(path)
        self._lock_fd = os.open(
            path / "daemon.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600
        )
        self._socket_directory: Path | None = None
        self._take_lock()
        self.card.unlink(missing_ok=True)  # what a killed daemon left there is no longer true

    def _take_lock(self) -> None:
        try:
            fcntl.flock(self._lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = int(os.pread(self._lock_fd, 32, 0).split()[0] or 0)
            os.close(self._lock_fd)
            raise DaemonRunningError(
                f"one daemon may own a state directory; the daemon with pid {pid} owns this one; "
                f"stop it or give another --state: {self.path}",
                pid=pid,
            ) from None
        os.ftruncate(self._lock_fd, 0)
        os.pwrite(self._lock_fd, f"{os.getpid()} \n".encode(), 0)

    @property
    def card(self) -> Path:
        """The file that tells local programs where the daemon is."""
        return self.path / "daemon.json"

    @property
    def database(self) -> Path:
        return self.path / "ringdaq.db"

    @property
    def audit_tail(self) -> Path:
        return self.path / "audit.tail"

    @property
    def token_file(self) -> Path:
        return self.path / "token"

    def socket_path(self) -> Path:
        """Where the control socket goes: here, or where the path is short enough for the kernel."""
        path = self.path / "control.sock"
        if len(os.fsencode(path)) <= MAX_SOCKET_PATH_BYTES:
            return path
        digest = hashlib.sha256(os.fsencode(self.path.resolve())).hexdigest()[:12]
        directory = private_directory(Path("/tmp") / f"ringdaq-{os.getuid()}-{digest}")
        self._socket_directory = directory
        return directory / "control.sock"

    def token(self) -> str:
        """The token that network clients must show; made at the first start."""
        if not self.token_file.exists():
            write_private(self.token_file, secrets.token_urlsafe(32))
        return self.token_file.read_text().strip()

    def publish(self, **where: Any) -> None:
        """Tell local programs that the daemon serves, and where."""
        card = {
            "pid": os.getpid(),
            "version": __version__,
            "started_nanos": now_nanos(),
            "token_file": str(self.token_file),
            **where,
        }
        write_private(self.card, json.dumps(card, indent=1))

    def release(self) -> None:
        """Take the card away and give the lock up."""
        self.card.unlink(missing_ok=True)
        if self._socket_directory is not None:
            self._socket_directory.rmdir()
        os.close(self._lock_fd)
