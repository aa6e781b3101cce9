"""Rows of other trainers: where they lie, and the template that makes turns or texts of them as that trainer does."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from reconciler.core.resources import Json

CONVERTED = "refs%2Fconvert%2Fparquet"
"""Where a hub keeps every data set as Parquet, by configuration and split."""
ENDINGS = frozenset({".jsonl", ".json", ".csv", ".parquet"})
TURNS: Mapping[str, str] = {
    "human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant", "model": "assistant",
    "system": "system", "tool": "tool",
}  # fmt: skip
"""What roles are called in other people's chats."""

ALPACA = """\
{% block prompt %}
{% if input is defined and input %}
Below is an instruction that describes a task, paired with an input that provides further context. \
Write a response that appropriately completes the request.

### Instruction:
{{ instruction }}

### Input:
{{ input }}

### Response:

{% else %}
Below is an instruction that describes a task. Write a response that appropriately completes the request.

### Instruction:
{{ instruction }}

### Response:

{% endif %}
{% endblock %}
{% block completion %}{{ output }}{% endblock %}
"""


@dataclass(frozen=True, slots=True)
class Shape:
    """What rows look like: one of our formats, or a template; `field` is the key of plain text."""

    format: str = ""
    template: str = ""
    field: str = ""


@dataclass(frozen=True, slots=True)
class Place:
    """Where rows lie, in a manifest's words; `lost` is what of it could not be said."""

    uri: str
    lost: str = ""


def hub_place(name: str, config: str = "default", split: str = "train", files: Sequence[str] = ()) -> Place | None:
    """The rows of a data set on a hub; None for what is no name of one."""
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", name):
        return None
    part, bracket, slice_ = split.partition("[")
    lost = f"the slice `[{slice_}` of the split: give `data.max_rows`" if bracket else ""
    if "+" in part:
        part, _, more = part.partition("+")
        lost = f"the further splits `{more}`: give them in `data.mix`"
    if files:
        lost = lost or (f"the further files {', '.join(files[1:])}: give them in `data.mix`" if files[1:] else "")
        return Place(f"hf://datasets/{name}/{files[0].removeprefix('./')}", lost)
    return Place(f"hf://datasets/{name}@{CONVERTED}/{config}/{part}/*.parquet", lost)


def file_place(path: str) -> Place | None:
    """Rows in a bucket or a file; None where the text can be neither."""
    if path.startswith("gs://"):
        return Place(path)
    if "://" in path:
        return None
    if PurePosixPath(path).suffix.lower() in ENDINGS:
        outside = path.startswith(("/", "~", "..", "http"))
        return Place(path, "it lies outside this repository: copy it here, or into a bucket" if outside else "")
    return None


def chat_shape(
    messages: str = "messages",
    role: str = "role",
    content: str = "content",
    roles: Mapping[str, str] = TURNS,
    system: str = "",
    tools: str = "tools",
) -> Shape:
    """Turns under other names. `roles` maps the roles of the rows to OpenAI's; `system` names a field beside them."""
    plain = all(theirs == ours for theirs, ours in roles.items() if theirs in ("user", "assistant", "system", "tool"))
    if (messages, role, content, system) == ("messages", "role", "content", "") and plain:
        return Shape(format="messages")
    mapping = json.dumps(dict(sorted(roles.items())))
    first = ""
    if system:
        comma = f"{{{{ ',' if {messages} }}}}"
        turn = f'{{"role": "system", "content": {{{{ {system} | tojson }}}}}}{comma}'
        first = f"{{% if {system} is defined and {system} %}}{turn}{{% endif %}}"
    return Shape(
        template=(
            "{% block messages %}\n"
            f"{{% set roles = {mapping} %}}\n"
            f"[{first}{{% for turn in {messages} %}}\n"
            f'{{"role": {{{{ roles[turn["{role}"]] | default(turn["{role}"]) | tojson }}}}, '
            f'"content": {{{{ turn["{content}"] | tojson }}}}}}{{{{ "," if not loop.last }}}}\n'
            "{% endfor %}]\n"
            "{% endblock %}\n"
        )
    )


def asked_shape(instruction: str, more: str, output: str, system: str = "", between: str = "\\n") -> Shape:
    """An instruction, perhaps with an input below it, answered in a chat. `between` stands between the two."""
    given = f"{{% if {more} is defined and {more} %}}{between}{{{{ {more} }}}}{{% endif %}}" if more else ""
    told = f"{{% if {system} is defined and {system} %}}{{{{ {system} }}}}{{% endif %}}"
    said = f"{{% block system %}}{told}{{% endblock %}}\n" if system else ""
    given = given.replace("\\n", "{{ '\\n' }}")
    return Shape(
        template=(
            f"{said}{{% block user %}}{{{{ {instruction} }}}}{given}{{% endblock %}}\n"
            f"{{% block assistant %}}{{{{ {output} }}}}{{% endblock %}}\n"
        )
    )


def formatted_shape(format_: str, without_input: str, fields: Mapping[str, str], system: str = "") -> Shape:
    """A prompt of Python's `{instruction}`/`{input}` placeholders, answered in plain text."""
    prompt = _filled(format_, fields)
    if without_input:
        more = fields["input"]
        prompt = (
            f"{{% if {more} is defined and {more} %}}{prompt}{{% else %}}{_filled(without_input, fields)}{{% endif %}}"
        )
    head = f"{_raw(system)}{{{{ '\\n' }}}}" if system else ""
    answer = f"{{% block completion %}}{{{{ {fields['output']} }}}}{{% endblock %}}\n"
    return Shape(template=f"{{% block prompt %}}{head}{prompt}{{% endblock %}}\n{answer}")


def shape_of_data(place: Place, shape: Shape) -> dict[str, Json]:
    """The fields of the block `data` for rows of a shape."""
    data: dict[str, Json] = {"train": place.uri}
    if shape.template:
        data["template"] = shape.template
    elif shape.format != "messages":
        data["format"] = shape.format
    return data


def _filled(text: str, fields: Mapping[str, str]) -> str:
    parts = re.split(r"\{(\w+)\}", text)
    return "".join(
        f"{{{{ {fields.get(part, part)} }}}}" if index % 2 else _raw(part) for index, part in enumerate(parts)
    )


def _raw(text: str) -> str:
    """Text that jinja2 does not read: line breaks are kept where it would trim them."""
    quoted = json.dumps(text, ensure_ascii=False)
    return f"{{{{ {quoted} }}}}" if text else ""
