"""What a container cannot have: not there, or not for this account. Each says what is wrong and the way out.

They are Python's own LookupError and PermissionError, so that a caller needs to know no more than those.
"""

from __future__ import annotations


class Missing(LookupError):
    """Something that a spec names is not there, or is not what it should be."""

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(f"{what}. {remedy}")
        self.what = what
        self.remedy = remedy


class Denied(PermissionError):
    """Google Cloud, Secret Manager or the hub said no."""

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(f"{what}. {remedy}")
        self.what = what
        self.remedy = remedy
