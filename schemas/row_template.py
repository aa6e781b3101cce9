"""What `data.template` must consist of: the blocks of a jinja2 file, for those who check it and those who render it."""

from __future__ import annotations

SHAPES = (
    frozenset({"user", "assistant"}),
    frozenset({"system", "user", "assistant"}),
    frozenset({"prompt", "completion"}),
    frozenset({"messages"}),
)
"""The sets of blocks that mean something: turns, two plain texts, or a JSON list of turns."""
WANTED = "its blocks must be user and assistant (and system), or prompt and completion, or messages"
EXAMPLE = "{% block user %}{{ question }}{% endblock %}{% block assistant %}{{ answer }}{% endblock %}"
