from __future__ import annotations

from typing import Any

import pytest
from google.protobuf import json_format
from google.protobuf.descriptor import FieldDescriptor

from reconciler.emulator.wire.codec import message_class, new
from reconciler.emulator.wire.printing import printed

TYPES = ("CustomJob", "Model", "Endpoint", "ListModelsResponse", "PipelineJob", "HyperparameterTuningJob")
OTHERS = ("google.longrunning.Operation", "google.rpc.Status", "google.protobuf.Struct", "google.protobuf.Empty")


def filled(message: Any, depth: int = 0) -> Any:
    """A message in which every field says something, some levels deep; lists and maps have two entries."""
    for field in message.DESCRIPTOR.fields:
        nested = field.message_type
        if nested is not None and nested.GetOptions().map_entry:
            value = nested.fields_by_name["value"]
            for key in ("one", "another.Key"):
                if value.message_type is None:
                    getattr(message, field.name)[key] = scalar(value)
                else:
                    filled(getattr(message, field.name)[key], depth + 1)
        elif nested is not None and nested.full_name == "google.protobuf.Any":
            continue
        elif nested is not None and depth < 4:
            targets = getattr(message, field.name)
            for target in (targets.add(), targets.add()) if field.is_repeated else (targets,):
                target.SetInParent()
                filled(target, depth + 1)
        elif nested is None and field.is_repeated:
            getattr(message, field.name).extend([scalar(field), scalar(field)])
        elif nested is None:
            setattr(message, field.name, scalar(field))
    return message


def scalar(field: FieldDescriptor) -> Any:
    if field.enum_type is not None:
        return max(field.enum_type.values_by_number)
    if field.type == FieldDescriptor.TYPE_BYTES:
        return b"\x00\xff"
    by_type = {
        FieldDescriptor.CPPTYPE_STRING: "täxt",
        FieldDescriptor.CPPTYPE_BOOL: True,
        FieldDescriptor.CPPTYPE_FLOAT: 0.1,
        FieldDescriptor.CPPTYPE_DOUBLE: 1e-7,
    }
    return by_type.get(field.cpp_type, 7)


@pytest.mark.parametrize("numbers", [False, True])
@pytest.mark.parametrize("name", [*TYPES, *OTHERS])
def test_a_message_is_printed_as_protobuf_prints_it(name: str, numbers: bool) -> None:
    message = filled(new(name))

    shown = printed(message, numbers)

    assert shown == json_format.MessageToDict(message, use_integers_for_enums=numbers)


def test_what_is_empty_and_an_enum_that_nobody_knows_are_printed_as_protobuf_prints_them() -> None:
    job = new("CustomJob", state=99)
    job.error.SetInParent()

    assert printed(job, False) == json_format.MessageToDict(job) == {"state": 99, "error": {}}


def test_an_operation_shows_what_it_carries() -> None:
    operation = new("google.longrunning.Operation", name="operations/1", done=True)
    operation.response.Pack(filled(message_class("Endpoint")()))

    assert printed(operation, False) == json_format.MessageToDict(operation)
