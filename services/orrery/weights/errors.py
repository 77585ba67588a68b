"""Why weights did not come. Only whoever fetches or converts them meets these errors."""

from __future__ import annotations

from orrery.worlds.errors import ComponentUnusable


class HubDenied(ComponentUnusable):
    """The hub wants a token, or the token's account has not accepted the repository's terms."""

    code = "hub_denied"
    http_status = 403
    grpc_code = "PERMISSION_DENIED"


class HubMissing(ComponentUnusable):
    """The hub has no such repository, revision or file, or the catalog knows no place for the component."""

    code = "hub_missing"
    http_status = 404
    grpc_code = "NOT_FOUND"


class HubUnreachable(ComponentUnusable):
    """The hub does not answer, or no more than a part of a file came."""

    code = "hub_unreachable"
    http_status = 503
    grpc_code = "UNAVAILABLE"


class ChecksumMismatch(ComponentUnusable):
    """What came is not what the hub said that it would be. It was removed."""

    code = "checksum_mismatch"


class NoSpace(ComponentUnusable):
    """The disk has less room than the files need."""

    code = "no_space"


class CheckpointUnknown(ComponentUnusable):
    """A released file that is not of a form that is known, or that would run code when it is read."""

    code = "checkpoint_unknown"
    http_status = 422
    grpc_code = "INVALID_ARGUMENT"
