"""The network face: gRPC in front of the control socket."""
