"""gRPC from one event loop: HTTP/2 with many messages per turn of the loop."""

from control.wire.channel import Channel, RpcError, Stream

__all__ = ["Channel", "RpcError", "Stream"]
