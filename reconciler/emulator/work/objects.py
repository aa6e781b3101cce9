"""Objects of the embedded Cloud Storage for the programs that run beside it: read, list, write, over plain HTTP.

Its address is in `STORAGE_EMULATOR_HOST`. What cannot be read is an `UnreadableError` that names the object.
"""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path


class UnreadableError(Exception):
    """An object that is not there or cannot be read."""


def read(uri: str) -> bytes:
    """What an object holds; `#GENERATION` at the end asks for that one."""
    bucket, name = _split(uri)
    address, _, generation = name.partition("#")
    query = {"alt": "media", **({"generation": generation} if generation else {})}
    return _get(uri, f"{_objects(bucket)}/{urllib.parse.quote(address, safe='')}?{urllib.parse.urlencode(query)}")


def beneath(folder: str) -> Iterator[str]:
    """The addresses of all objects in a folder."""
    bucket, name = _split(f"{folder.rstrip('/')}/")
    token = ""
    while True:
        query = {"prefix": name, **({"pageToken": token} if token else {})}
        found = json.loads(_get(folder, f"{_objects(bucket)}?{urllib.parse.urlencode(query)}"))
        yield from (f"gs://{bucket}/{one['name']}" for one in found.get("items", ()))
        token = found.get("nextPageToken", "")
        if not token:
            return


def download(folder: str, target: Path) -> None:
    """Bring a folder of objects onto this disk."""
    for uri in beneath(folder):
        file = target / uri.removeprefix(f"{folder.rstrip('/')}/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(read(uri))


def upload(source: Path, folder: str) -> None:
    """Write every file of a folder of this disk into a folder of objects."""
    for file in sorted(source.rglob("*")):
        if file.is_file():
            write(f"{folder.rstrip('/')}/{file.relative_to(source).as_posix()}", file.read_bytes())


def write(uri: str, content: bytes) -> None:
    """Write an object."""
    bucket, name = _split(uri)
    query = urllib.parse.urlencode({"uploadType": "media", "name": name})
    _post(f"{_host()}/upload/storage/v1/b/{bucket}/o?{query}", content, "application/octet-stream")


def make_bucket(uri: str, project: str) -> None:
    """Make the bucket of an address unless it is there."""
    try:
        body = json.dumps({"name": _split(uri)[0]}).encode()
        _post(f"{_host()}/storage/v1/b?project={project}", body, "application/json")
    except urllib.error.HTTPError as error:
        with error:
            if error.code != 409:
                raise


def _get(uri: str, url: str) -> bytes:
    try:
        with urllib.request.urlopen(url, timeout=600) as answer:
            content: bytes = answer.read()
    except urllib.error.HTTPError as error:
        with error:
            raise UnreadableError(f"{uri} cannot be read: {error.code} {error.reason}") from None
    return content


def _post(url: str, body: bytes, kind: str) -> None:
    request = urllib.request.Request(url, body, {"content-type": kind}, method="POST")
    with urllib.request.urlopen(request, timeout=600):
        pass


def _objects(bucket: str) -> str:
    return f"{_host()}/storage/v1/b/{bucket}/o"


def _host() -> str:
    return os.environ["STORAGE_EMULATOR_HOST"].rstrip("/")


def _split(uri: str) -> tuple[str, str]:
    bucket, _, name = uri.removeprefix("gs://").partition("/")
    return bucket, name
