"""What a dispatcher is told."""

from __future__ import annotations

import base64
import binascii
from typing import Self

from pydantic import ConfigDict, Field, SecretStr, model_validator

from orrery.artifacts.objects import REFRESH_SECONDS
from orrery.dispatcher.messages import SECRET_PREFIX
from orrery.dispatcher.sweeping import Policy
from orrery.dispatcher.webhooks import Receivers
from orrery.worlds.environment import ProcessSettings

DAY = 24 * 3600.0


class DispatcherSettings(ProcessSettings):
    """Metrics are served on `host` and `port`; `refresh_seconds` lie between two looks at the pools.

    Webhooks are sent if there is a `webhook_secret` (`whsec_` and 24 to 64 bytes in base64): to `webhook_url` about every job,
    and to the URL that a job names. For the `sweep_` and `memo_` settings see `Policy`, for the `webhook_` ones `Receivers`.
    """

    model_config = ConfigDict(hide_input_in_errors=True)

    redis_url: str
    artifacts_url: str
    host: str = "127.0.0.1"
    port: int = Field(default=9100, ge=0, le=65535)
    refresh_seconds: float = Field(default=3.0, gt=0, le=300)
    sweep_seconds: float = Field(default=300.0, gt=0)
    sweep_grace_seconds: float = Field(default=3600.0, ge=2 * REFRESH_SECONDS)
    sweep_dry_run: bool = False
    memo_bytes: int = Field(default=50 * 2**30, ge=0)
    memo_seconds: float = Field(default=30 * DAY, gt=0)
    webhook_url: str | None = None
    webhook_secret: SecretStr | None = None
    webhook_allow_private: bool = False
    webhook_in_progress: bool = False
    webhook_attempts: int = Field(default=12, gt=0)
    webhook_pause_seconds: float = Field(default=5.0, gt=0)
    webhook_timeout_seconds: float = Field(default=10.0, gt=0)

    @property
    def policy(self) -> Policy:
        return Policy(self.sweep_grace_seconds, self.memo_bytes, self.memo_seconds, self.sweep_dry_run)

    @property
    def receivers(self) -> Receivers | None:
        if self.webhook_secret is None:
            return None
        return Receivers(
            key=_key(self.webhook_secret),
            everyone=self.webhook_url,
            allow_private=self.webhook_allow_private,
            in_progress=self.webhook_in_progress,
            attempts=self.webhook_attempts,
            pause=self.webhook_pause_seconds,
            timeout=self.webhook_timeout_seconds,
        )

    @model_validator(mode="after")
    def _webhooks_can_be_signed(self) -> Self:
        if self.webhook_url is not None and not self.webhook_url.startswith(("http://", "https://")):
            raise ValueError("webhook_url must be an http or https URL")
        if self.webhook_url is not None and self.webhook_secret is None:
            raise ValueError("a webhook_url needs a webhook_secret to sign what is sent there")
        if self.webhook_secret is not None:
            _key(self.webhook_secret)
        return self


def _key(secret: SecretStr) -> bytes:
    text = secret.get_secret_value()
    try:
        key = base64.b64decode(text.removeprefix(SECRET_PREFIX), validate=True)
    except binascii.Error:
        key = b""
    if not text.startswith(SECRET_PREFIX) or not 24 <= len(key) <= 64:
        raise ValueError(f"webhook_secret must be {SECRET_PREFIX} and 24 to 64 bytes in base64")
    return key
