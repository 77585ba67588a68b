"""The Python SDK: `Client` and `AsyncClient`, what they answer, and what they raise."""

from orrery.sdk.aio import AsyncClient
from orrery.sdk.calls import Parameters
from orrery.sdk.client import Client
from orrery.sdk.errors import CorruptDownload, JobFailed, Refused, Unreachable
from orrery.sdk.options import DEFAULT_URL
from orrery.sdk.results import Batch, Deleted, Estimate, Event, File, Model, Preview, Receipt, Task, Upsampling, World, Worlds
from orrery.sdk.retrying import Retries

__all__ = [
    "DEFAULT_URL",
    "AsyncClient",
    "Batch",
    "Client",
    "CorruptDownload",
    "Deleted",
    "Estimate",
    "Event",
    "File",
    "JobFailed",
    "Model",
    "Parameters",
    "Preview",
    "Receipt",
    "Refused",
    "Retries",
    "Task",
    "Unreachable",
    "Upsampling",
    "World",
    "Worlds",
]
