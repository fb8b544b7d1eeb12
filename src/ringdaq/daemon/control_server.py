"""The control socket: local peers, their requests, and events pushed to them."""

from __future__ import annotations

import inspect
import logging
import os
import socket
import struct
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from ringdaq.control import Channel, Message
from ringdaq.daemon.instruments import ASKING, CALMING
from ringdaq.daemon.ticket import TICKET, Ticket
from ringdaq.errors import (
    AuthenticationError,
    BadRequestError,
    BusyError,
    RingdaqError,
    ServiceError,
    to_wire,
)

log = logging.getLogger(__name__)

MAX_PEERS = 128
# When the request that a thread works on came in, in monotonic seconds.
ARRIVED: ContextVar[float] = ContextVar("arrived")
# Requests that may take long have threads of their own, so that none delays a stop or a question.
THREADS = {"panic": 4, "urgent": 8, "quick": 8, "questions": 16, "commands": 32, "waiting": 64}
KIND_OF = {
    "instruments.call": "commands",
    "runs.wait": "waiting",
    "scripts.dry_run": "waiting",
    "queue.add": "waiting",
    "queue.edit": "waiting",
    "pipeline.stop": "waiting",
    "pipeline.drain": "waiting",
    "pipeline.pause": "waiting",
    "pipeline.resume": "waiting",
    "pipeline.set": "waiting",
    "pipeline.stats": "waiting",
}
# What is not begun any more once its caller has given it up; a stop is wanted all the same.
WITHDRAWABLE = frozenset({"commands", "questions"})
URGENT_METHODS = frozenset({"runs.stop", "shutdown"})
MAX_REQUESTS_OF_A_PEER = 64
_CREDENTIALS = struct.Struct("3i")


class Peer:
    """One connected local process."""

    def __init__(self, channel: Channel, pid: int, uid: int) -> None:
        self.channel = channel
        self.pid, self.uid = pid, uid
        self.role = "local"
        self.user = ""
        self.on_close: list[Callable[[], None]] = []
        self.pending = threading.BoundedSemaphore(MAX_REQUESTS_OF_A_PEER)
        self.withdrawable: dict[int, tuple[Ticket, Future[None]]] = {}

    @property
    def who(self) -> str:
        """The peer's name in the audit log."""
        return f"{self.user or self.role} (pid {self.pid})"

    def send_event(self, event: str, params: dict[str, Any]) -> None:
        """Push an event; raises `OSError` when the peer is gone."""
        self.channel.send({"event": event, "params": params})


Method = Callable[..., Any]


def kind_of(message: Message) -> str:
    """Which threads answer a request."""
    method, params = message.get("method"), message.get("params")
    if method == "panic":
        return "panic"  # which stops that hang must not hold up
    if method in URGENT_METHODS:
        return "urgent"
    verb = params.get("verb") if isinstance(params, dict) else None
    if isinstance(verb, str) and verb in CALMING:
        return "urgent"
    if isinstance(verb, str) and verb in ASKING:
        return "questions"
    return KIND_OF.get(method, "quick") if isinstance(method, str) else "quick"


def check_call(method: Method, name: str, params: Mapping[str, Any]) -> None:
    """Refuse parameters that the method does not take, naming those it does."""
    signature = inspect.signature(method)
    try:
        signature.bind(None, **params)
    except TypeError as error:
        known = ", ".join(list(signature.parameters)[1:]) or "nothing"
        raise BadRequestError(f"{name} takes {known}; found a fault: {error}") from None


class ControlServer:
    """Serves a table of methods to peers of the same user."""

    def __init__(self, path: Path, methods: Mapping[str, Method]) -> None:
        self.path = path
        self._methods = methods
        self._lock = threading.Lock()
        self._peers: set[Peer] = set()
        self._pools = {
            kind: ThreadPoolExecutor(count, thread_name_prefix=f"control-{kind}")
            for kind, count in THREADS.items()
        }
        path.unlink(missing_ok=True)  # the state directory's lock says that its daemon is gone
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(path))
        path.chmod(0o600)
        self._listener.listen(64)
        self._thread = threading.Thread(target=self._accept, name="control-accept", daemon=True)

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return  # closed
            try:
                self._welcome(sock)
            except (RingdaqError, OSError) as error:
                log.warning("a local peer was refused: %s", error)
                sock.close()

    def _welcome(self, sock: socket.socket) -> None:
        raw = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        pid, uid, _ = _CREDENTIALS.unpack(raw)
        if uid not in (os.getuid(), 0):
            raise AuthenticationError(
                f"the control socket is for user {os.getuid()}; found user {uid}, pid {pid}"
            )
        peer = Peer(Channel(sock), pid, uid)
        with self._lock:
            if len(self._peers) >= MAX_PEERS:
                raise BusyError(f"{MAX_PEERS} local peers are connected already")
            self._peers.add(peer)
        threading.Thread(
            target=self._serve, args=(peer,), name=f"control-peer-{pid}", daemon=True
        ).start()

    def _serve(self, peer: Peer) -> None:
        try:
            while (message := peer.channel.receive()) is not None:
                if "withdraw" in message:
                    self._withdraw(peer, message["withdraw"])
                else:
                    self._take_on(peer, message)
        except (OSError, BadRequestError, RuntimeError) as error:
            log.debug("the connection of pid %d ended: %s", peer.pid, error)
        finally:
            self._drop(peer)

    def _take_on(self, peer: Peer, message: Message) -> None:
        peer.pending.acquire()  # a peer with too much under way waits in its own socket
        number, kind, arrived = message.get("id", 0), kind_of(message), time.monotonic()
        ticket = Ticket() if kind in WITHDRAWABLE and isinstance(number, int) else None
        future = self._pools[kind].submit(self._answer, peer, message, arrived, ticket)
        if ticket is not None:
            peer.withdrawable[number] = ticket, future
            future.add_done_callback(lambda _: peer.withdrawable.pop(number, None))
        future.add_done_callback(lambda _: peer.pending.release())

    def _withdraw(self, peer: Peer, number: object) -> None:
        """Nobody waits for an answer any more: what has not begun is not carried out."""
        found = peer.withdrawable.get(number) if isinstance(number, int) else None
        if found is None:
            return  # it was answered meanwhile, or is wanted all the same
        ticket, future = found
        ticket.withdraw()
        if future.cancel():
            error = ServiceError("it was taken back before it began, and is not carried out")
            peer.channel.send({"id": number, "error": to_wire(error)})

    def _drop(self, peer: Peer) -> None:
        with self._lock:
            self._peers.discard(peer)
        for ticket, future in peer.withdrawable.copy().values():
            ticket.withdraw()
            future.cancel()
        for action in peer.on_close:
            action()
        peer.channel.close()

    def _answer(self, peer: Peer, message: Message, arrived: float, ticket: Ticket | None) -> None:
        ARRIVED.set(arrived)
        TICKET.set(ticket)
        try:
            reply = {"id": message.get("id", 0), **self._outcome(peer, message)}
            peer.channel.send(reply)
        except OSError:
            log.debug("pid %d left before its answer", peer.pid)
        except RingdaqError as error:
            peer.channel.send({"id": message.get("id", 0), "error": to_wire(error)})

    def _outcome(self, peer: Peer, message: Message) -> dict[str, Any]:
        try:
            return {"result": self._dispatch(peer, message)}
        except RingdaqError as error:
            return {"error": to_wire(error)}
        except Exception as error:
            log.exception("%s failed inside the daemon", message.get("method"))
            return {"error": to_wire(error)}

    def _dispatch(self, peer: Peer, message: Message) -> Any:
        name, params = message.get("method"), message.get("params") or {}
        method = self._methods.get(name) if isinstance(name, str) else None
        if method is None or not isinstance(params, dict):
            raise BadRequestError(
                f"a request needs a method and a map of params; found method {name!r:.80}; "
                f"methods are: {', '.join(sorted(self._methods))}"
            )
        check_call(method, str(name), params)
        return method(peer, **params)

    def close(self) -> None:
        """Take no more peers, hang up on all, and take the socket away."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            peers = list(self._peers)
        for peer in peers:
            peer.channel.close()
        for pool in self._pools.values():
            pool.shutdown(wait=False, cancel_futures=True)
        self.path.unlink(missing_ok=True)
