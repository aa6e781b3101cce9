"""Answers as the bytes that go out. What a list shows of one resource is printed once, as long as it stays the same.

Lists are long, and from one look to the next most of what they show has not changed. What is remembered is found by
the hash of the whole message, so that it can never be out of date; with too much of it everything is forgotten.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field

from google.protobuf.descriptor import FieldDescriptor

from reconciler.emulator.wire.codec import Message, to_json

ROOM = 64_000_000
"""Bytes of text that are remembered."""
_TOKEN = "next_page_token"


@dataclass(slots=True)
class Texts:
    """Prints answers, and remembers up to `room` bytes of the resources in lists."""

    room: int = ROOM
    _known: dict[tuple[str, bool, bytes], bytes] = field(default_factory=dict)
    _taken: int = 0

    def of(self, message: Message, *, numbers: bool = False) -> bytes:
        """The JSON of an answer, as `to_json` gives it; enums by name unless `numbers`."""
        fields = message.ListFields()
        if not fields or not all(_is_of_a_list(shown) for shown, _ in fields):
            return text_of(to_json(message, numbers=numbers))
        return b"{%s}" % b", ".join(
            text_of({shown.json_name: value})[1:-1]
            if shown.name == _TOKEN
            else b'"%s": [%s]' % (shown.json_name.encode(), b", ".join([self._item(one, numbers) for one in value]))
            for shown, value in fields
        )

    def _item(self, message: Message, numbers: bool) -> bytes:
        key = message.DESCRIPTOR.full_name, numbers, hashlib.sha256(message.SerializeToString()).digest()
        text = self._known.get(key)
        if text is None:
            text = text_of(to_json(message, numbers=numbers))
            if self._taken + len(text) > self.room:
                self._known.clear()
                self._taken = 0
            self._known[key] = text
            self._taken += len(text)
        return text


def _is_of_a_list(field: FieldDescriptor) -> bool:
    """The token of the next page, or what is listed."""
    listed = field.is_repeated and field.message_type is not None and not field.message_type.GetOptions().map_entry
    return listed or field.name == _TOKEN


def text_of(body: object) -> bytes:
    """Any JSON as bytes."""
    return json.dumps(body, ensure_ascii=False).encode("utf-8", errors="replace")
