"""A bucket on the server, through Google's storage client."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias


@dataclass(frozen=True, slots=True)
class Objects:
    """The objects of one bucket."""

    name: str
    bucket: Any

    def write(self, name: str, text: str | bytes) -> str:
        """Write an object; gives its address."""
        self.bucket.blob(name).upload_from_string(text)
        return f"gs://{self.name}/{name}"

    def json(self, name: str) -> Any:
        """What an object holds."""
        return json.loads(self.bucket.blob(name).download_as_bytes())

    def names(self, prefix: str = "") -> list[str]:
        """The names of all objects."""
        return [blob.name for blob in self.bucket.list_blobs(prefix=prefix)]


Bucket: TypeAlias = Callable[[str], Objects]
