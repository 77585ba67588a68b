"""The seam to the hub: `huggingface_hub`, which reads HF_HOME, HF_TOKEN and HF_ENDPOINT itself."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from orrery.weights.errors import HubDenied, HubMissing, HubUnreachable, NoSpace
from orrery.worlds.errors import OrreryError
from orrery.worlds.plan import Frozen

Told = Callable[[int], None]
"""Is told of so many more bytes; of fewer, by a negative number, where a server began again."""


class HubFile(Frozen):
    """`size` in bytes. A large file has a `sha256`; a small one has only `git_blob`, the SHA-1 that git knows it by."""

    path: str
    size: int
    sha256: str | None
    git_blob: str | None


class Listing(Frozen):
    """All files of a repository at a commit."""

    repository: str
    commit: str
    files: tuple[HubFile, ...]

    @property
    def source(self) -> str:
        return f"{self.repository}@{self.commit}"


class Hub(Protocol):
    """Raises `HubDenied`, `HubMissing`, `HubUnreachable` or `NoSpace`, each naming the repository."""

    def listing(self, repository: str, revision: str) -> Listing: ...

    def append(self, listing: Listing, file: HubFile, part: Path, told: Told) -> None:
        """Adds to `part` what it lacks of the file. What came before an error stays there."""


ANSWERS: dict[int, tuple[type[OrreryError], str]] = {
    401: (HubDenied, "wants a valid token (HF_TOKEN), or there is no such repository"),
    403: (HubDenied, "refuses the token of HF_TOKEN; it needs the right to read this repository"),
    404: (HubMissing, "has no such repository or file; see HF_ENDPOINT, and HF_TOKEN if it is private"),
}
"""What a status means where the hub says no more, and what to do."""


class HuggingFaceHub:
    """The hub at `endpoint`, which is HF_ENDPOINT's if None, with the token of HF_TOKEN or of HF_HOME."""

    def __init__(self, endpoint: str | None = None):
        from huggingface_hub import constants

        self._endpoint = str(endpoint or constants.ENDPOINT)

    def listing(self, repository: str, revision: str) -> Listing:
        """See `Hub`."""
        from huggingface_hub import HfApi

        with self._typed(repository, revision):
            info = HfApi(endpoint=self._endpoint).model_info(repository, revision=revision, files_metadata=True)
        files = tuple(_file(sibling) for sibling in info.siblings or ())
        if info.sha is None:
            raise HubUnreachable(f"{repository}: the hub does not say which commit {revision} is")
        return Listing(repository=repository, commit=info.sha, files=files)

    def append(self, listing: Listing, file: HubFile, part: Path, told: Told) -> None:
        """See `Hub`. A cut connection is taken up again here, some times; then it is for the next call."""
        from huggingface_hub import hf_hub_url
        from huggingface_hub.file_download import http_get
        from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

        url = hf_hub_url(listing.repository, file.path, revision=listing.commit, endpoint=self._endpoint)
        # A compressed answer could not be gone on with: ranges would be of its compressed bytes.
        headers = build_hf_headers() | {"Accept-Encoding": "identity"}
        # `hf_hub_download` throws a part away when its process ends; this function of the same library goes on from one.
        with part.open("ab") as out, self._typed(listing.repository, listing.commit):
            http_get(
                url,
                out,
                resume_size=out.tell(),
                headers=headers,
                expected_size=file.size,
                displayed_filename=file.path,
                _tqdm_bar=_Bar(told),
            )
            out.flush()

    @contextmanager
    def _typed(self, repository: str, revision: str) -> Iterator[None]:
        """Errors of the library become ours."""
        from httpx2 import TransportError
        from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

        try:
            yield
        except HfHubHTTPError as error:
            raise self._answered(error, repository, revision) from error
        except (TransportError, OfflineModeIsEnabled) as error:
            text = f"{repository}: {self._endpoint} cannot be reached ({error}); pull again, what has come is kept"
            raise HubUnreachable(text) from error
        except OSError as error:
            if error.errno == errno.ENOSPC:
                raise NoSpace(f"{repository}: the disk is full; make room and pull again, what has come is kept") from error
            if error.errno is not None:  # of this machine, not of the hub
                raise
            raise HubUnreachable(f"{repository}: {error}; pull again, what has come is kept") from error

    def _answered(self, error: Any, repository: str, revision: str) -> OrreryError:
        """What an answer with a status that is no success means."""
        from huggingface_hub.errors import GatedRepoError, RevisionNotFoundError

        if isinstance(error, GatedRepoError):
            advice = f"accept its terms at {self._endpoint}/{repository} and set HF_TOKEN to a token of that account"
            return HubDenied(f"{repository} is gated: {advice}")
        if isinstance(error, RevisionNotFoundError):
            return HubMissing(f"{repository} has no revision {revision!r}; choose another with --revision")
        status = error.response.status_code
        kind, text = ANSWERS.get(status, (HubUnreachable, f"answered {status}; pull again later"))
        return kind(f"{repository} at {revision}: {self._endpoint} {text}")


class _Bar:
    """As much of a progress bar as the library needs."""

    def __init__(self, told: Told):
        self._told = told

    def update(self, count: int) -> None:
        self._told(count)

    def __enter__(self) -> _Bar:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Nothing was opened."""


def _file(sibling: Any) -> HubFile:
    sha256 = sibling.lfs.sha256 if sibling.lfs else None
    return HubFile(path=sibling.rfilename, size=sibling.size, sha256=sha256, git_blob=None if sha256 else sibling.blob_id)
