"""Hostile inputs over gRPC."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import grpc

from gateway.samples import hundred_megapixels
from orrery.v1 import worlds_pb2 as v1

Call = Callable[[Any], Any]

PROMPT = "a robot arm stacks boxes"
RAW = "/orrery.v1.Worlds/Create"


def _bytes(channel: grpc.aio.Channel, data: bytes) -> Any:
    method: Any = channel.unary_unary(RAW, request_serializer=None, response_deserializer=None)
    return method(data)


GRPC: tuple[tuple[str, str, str, Call], ...] = (
    (
        "gRPC: larger than is taken",
        "a message of 33 MiB",
        "RESOURCE_EXHAUSTED",
        lambda channel: _bytes(channel, v1.CreateRequest(prompt=PROMPT, input_reference=bytes(33 * 2**20)).SerializeToString()),
    ),
    ("gRPC: no message", "bytes that are no Protobuf", "INVALID_ARGUMENT", lambda channel: _bytes(channel, b"\xff" * 100)),
    (
        "gRPC: a bomb",
        "100 megapixels of one bit",
        "INVALID_ARGUMENT",
        lambda channel: _bytes(
            channel, v1.CreateRequest(prompt=PROMPT, input_reference=hundred_megapixels()).SerializeToString()
        ),
    ),
    (
        "gRPC: an id of parents",
        "`Get` of `../../etc/passwd`",
        "NOT_FOUND",
        lambda channel: channel.unary_unary("/orrery.v1.Worlds/Get")(v1.GetRequest(id="../../etc/passwd").SerializeToString()),
    ),
    (
        "gRPC: a method nobody knows",
        "`/orrery.v1.Worlds/Sudo`",
        "UNIMPLEMENTED",
        lambda channel: channel.unary_unary("/orrery.v1.Worlds/Sudo")(b""),
    ),
)
