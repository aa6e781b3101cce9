"""The server renders what was learnt, or nothing is learnt."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from images.train.failures import ModelNotFound
from images.train.rendering import refuse_another_rendering
from tests.images.train.families import FAMILIES, Family, make_tokenizer


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_a_tokenizer_that_is_saved_whole_passes(family: Family, tmp_path: Path) -> None:
    refuse_another_rendering(make_tokenizer(family), tmp_path)


@pytest.mark.parametrize("what", ["template", "cut"])
def test_a_tokenizer_that_is_another_one_once_it_was_saved_is_refused(tmp_path: Path, what: str) -> None:
    class Forgetful:
        """Saves less than it is."""

        def __init__(self) -> None:
            self.whole: Any = make_tokenizer(FAMILIES[0])
            self.chat_template = self.whole.chat_template

        def __call__(self, text: str, **how: Any) -> Any:
            return self.whole(text + " more" if what == "cut" and not how else text, **how)

        def apply_chat_template(self, turns: Any, **how: Any) -> Any:
            said = self.whole.apply_chat_template(turns, **how)
            return said + "!" if what == "template" else said

        def save_pretrained(self, folder: Path) -> None:
            self.whole.save_pretrained(folder)

    with pytest.raises(ModelNotFound, match="as a server does it"):
        refuse_another_rendering(Forgetful(), tmp_path)
