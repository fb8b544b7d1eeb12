"""The gRPC server: services, health, reflection, on loopback only."""

from __future__ import annotations

import asyncio

import grpc
import grpc.aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from ringdaq.errors import BusyError
from ringdaq.gateway.auth import TokenInterceptor
from ringdaq.gateway.catalogue_service import CatalogueService
from ringdaq.gateway.control_service import ControlService
from ringdaq.gateway.data_service import DataService
from ringdaq.gateway.failures import ErrorInterceptor
from ringdaq.gateway.history import HistoryDesk
from ringdaq.gateway.instrument_service import InstrumentService
from ringdaq.gateway.link import DaemonLink
from ringdaq.gateway.pipeline_service import PipelineService
from ringdaq.gateway.queue_service import QueueService
from ringdaq.gateway.rings import RingHub
from ringdaq.v1 import (
    catalogue_pb2_grpc,
    control_pb2_grpc,
    data_pb2_grpc,
    instruments_pb2_grpc,
    pipelines_pb2_grpc,
    queue_pb2_grpc,
)
from ringdaq.wire import MAX_REQUEST_BYTES, MAX_RESPONSE_BYTES

HOST = "127.0.0.1"
SERVICES = (
    "ringdaq.v1.ControlService",
    "ringdaq.v1.InstrumentService",
    "ringdaq.v1.DataService",
    "ringdaq.v1.QueueService",
    "ringdaq.v1.PipelineService",
    "ringdaq.v1.CatalogueService",
)
BIND_RETRY_SECS = 0.1
OPTIONS = (
    # Two gateways on one port would share its calls between them.
    ("grpc.so_reuseport", 0),
    ("grpc.max_receive_message_length", MAX_REQUEST_BYTES),
    ("grpc.max_send_message_length", MAX_RESPONSE_BYTES),
    # Clients on quiet streams may ask whether the gateway still lives.
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
    # A client whose machine or tunnel is gone is let go within two minutes, also without calls.
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 30_000),
    ("grpc.http2.ping_timeout_ms", 30_000),
    ("grpc.http2.max_pings_without_data", 0),
)


class GatewayServer:
    """The network face of one daemon."""

    def __init__(
        self,
        token: str,
        link: DaemonLink,
        commands: DaemonLink,
        urgent: DaemonLink,
        hub: RingHub,
        history: HistoryDesk,
    ) -> None:
        self.address = ""
        self._server = grpc.aio.server(
            interceptors=[TokenInterceptor(token), ErrorInterceptor()], options=OPTIONS
        )
        control_pb2_grpc.add_ControlServiceServicer_to_server(
            ControlService(link, urgent, hub), self._server
        )
        instruments_pb2_grpc.add_InstrumentServiceServicer_to_server(
            InstrumentService(link, commands, urgent), self._server
        )
        queue_pb2_grpc.add_QueueServiceServicer_to_server(QueueService(link), self._server)
        pipelines_pb2_grpc.add_PipelineServiceServicer_to_server(
            PipelineService(link), self._server
        )
        data_pb2_grpc.add_DataServiceServicer_to_server(
            DataService(link, hub, history), self._server
        )
        catalogue_pb2_grpc.add_CatalogueServiceServicer_to_server(
            CatalogueService(link), self._server
        )
        self._health = health.aio.HealthServicer()  # type: ignore[attr-defined]
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        names = (*SERVICES, health.SERVICE_NAME, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(names, self._server)

    async def start(self, port: int, patience_secs: float) -> None:
        """Serve on a port of the loopback interface, 0 for any free one.

        A gateway that was here before may still be closing, so a busy port is tried again until
        `patience_secs` are over. Raises `BusyError` then.
        """
        loop = asyncio.get_running_loop()
        give_up = loop.time() + patience_secs
        while not (bound := self._bind(port)):
            if loop.time() > give_up:
                raise BusyError(
                    f"port {port} of {HOST} should be free and is in use; end the program that "
                    "has it, or set grpc_port under [daemon] in the rig file, 0 for any free port"
                )
            await asyncio.sleep(BIND_RETRY_SECS)
        self.address = f"{HOST}:{bound}"
        await self.set_healthy(False)
        await self._server.start()

    def _bind(self, port: int) -> int:
        """The port that was bound, or 0 when it is in use."""
        try:
            return self._server.add_insecure_port(f"{HOST}:{port}")
        except RuntimeError:
            return 0

    async def set_healthy(self, healthy: bool) -> None:
        """Tell health checks whether the daemon behind the gateway answers."""
        status = health_pb2.HealthCheckResponse
        now = status.SERVING if healthy else status.NOT_SERVING
        for service in ("", *SERVICES):
            await self._health.set(service, now)

    async def stop(self, grace_secs: float) -> None:
        """Take no more calls, and end open ones within the time."""
        await self._server.stop(grace_secs)
