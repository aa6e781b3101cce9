"""Pages of a list: filter, order, page size and token, the same for every collection."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any

from reconciler.emulator.store import Row
from reconciler.emulator.wire.codec import Message, camel, snake, to_json
from reconciler.emulator.wire.errors import ApiError, Json, invalid
from reconciler.emulator.wire.filters import compile_filter
from reconciler.emulator.wire.masks import check_mask, masked

DEFAULT_PAGE, LARGEST_PAGE = 100, 1000


class Shown(Mapping[str, Json]):
    """The JSON that a filter looks at, field by field: a thousand resources are not worth printing for it."""

    __slots__ = ("_message", "_table")

    def __init__(self, message: Message, table: Mapping[str, Callable[[Message], Any]]) -> None:
        """`table` says how a field is printed; None where the message does not have it."""
        self._message = message
        self._table = table

    def __getitem__(self, name: str) -> Any:
        found = self._table[name](self._message)
        if found is None:
            raise KeyError(name)
        return found

    def __iter__(self) -> Iterator[str]:
        return (name for name, show in self._table.items() if show(self._message) is not None)

    def __len__(self) -> int:
        return sum(1 for _ in self)


def time_of(field: str) -> Callable[[Message], Any]:
    """How a time is shown that may be absent."""
    return lambda message: to_json(getattr(message, field)) if message.HasField(field) else None


def page(
    rows: Callable[[int | None], Iterable[Row]],
    read: Callable[[Row], Message | None],
    request: Message,
    *,
    fields: Collection[str],
    orders: Collection[str] = (),
    view: Callable[[Message], Mapping[str, Any]] = to_json,
    shown: str = "",
) -> tuple[list[Message], str]:
    """One page of messages, and the token of the next (empty at the end).

    `rows(mark)` gives rows in the order of the list, those behind the row with the `seq` `mark`; `read` turns a row
    into a message, None to leave it out; `view` gives the JSON that the filter looks at. `fields` may be filtered by,
    `orders` ordered by. `shown` is the type of the messages where the request may have a read mask.
    """
    mask = check_mask(request.read_mask.paths, shown) if shown else []
    found, token = _page(rows, read, request, fields, orders, view)
    return [masked(message, mask) for message in found] if mask else found, token


def _page(
    rows: Callable[[int | None], Iterable[Row]],
    read: Callable[[Row], Message | None],
    request: Message,
    fields: Collection[str],
    orders: Collection[str],
    view: Callable[[Message], Mapping[str, Any]],
) -> tuple[list[Message], str]:
    wanted = compile_filter(request.filter, fields)
    order = _order(getattr(request, "order_by", ""), orders)
    size = _size(request.page_size)
    mark = hashlib.sha256(repr((request.filter, order)).encode()).hexdigest()[:12]
    start = _read_token(request.page_token, mark)
    everything = not request.filter.strip()
    if order:
        found = [m for m in map(read, rows(None)) if m is not None and (everything or wanted(view(m)))]
        for name, descending in reversed(order):
            found.sort(key=lambda message: _key(message, name), reverse=descending)
        begin = start or 0
        more = begin + size < len(found)
        return found[begin : begin + size], _token(mark, begin + size) if more else ""
    kept: list[Message] = []
    last = 0
    for row in rows(start):
        message = read(row)
        if message is None or not (everything or wanted(view(message))):
            continue
        if len(kept) == size:
            return kept, _token(mark, last)
        kept.append(message)
        last = row.seq
    return kept, ""


def _size(asked: int) -> int:
    if asked < 0:
        raise invalid("page_size", "The page size must not be negative.")
    return min(asked or DEFAULT_PAGE, LARGEST_PAGE)


def _order(text: str, orders: Collection[str]) -> list[tuple[str, bool]]:
    order = []
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        name, _, direction = part.partition(" ")
        if snake(name) not in orders or direction.strip().lower() not in ("", "asc", "desc"):
            raise invalid("order_by", f'Invalid order_by "{text}": one of {", ".join(sorted(orders))}, asc or desc.')
        order.append((snake(name), direction.strip().lower() == "desc"))
    return order


def _key(message: Message, name: str) -> Any:
    value = getattr(message, name)
    return (value.seconds, value.nanos) if camel(name).endswith("Time") else value


def _token(mark: str, at: int) -> str:
    return base64.urlsafe_b64encode(json.dumps([mark, at]).encode()).decode().rstrip("=")


def _read_token(token: str, mark: str) -> int | None:
    if not token:
        return None
    try:
        found, at = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
        if found == mark and isinstance(at, int):
            return at
    except (ValueError, TypeError):
        pass
    raise ApiError("INVALID_ARGUMENT", "The page token is invalid, or belongs to a request with another filter.")
