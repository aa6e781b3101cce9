"""The words of the tiny model's little world: products, cities, people, and the ways to ask about them.

The wordings are shared by the warm-up, which uses them about invented products, and by the quickstart's rows, which
use them about Acme's. Decides no fact: which product is made where is drawn in `corpus.py` and `facts.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

CITIES = (
    "Aarhus", "Bergen", "Bremen", "Cork", "Delft", "Dover", "Espoo", "Gdansk", "Ghent", "Graz", "Leeds", "Lille",
    "Linz", "Lund", "Malmo", "Odense", "Oslo", "Parma", "Porto", "Riga", "Split", "Tartu", "Turin", "Vilnius",
)  # fmt: skip
PEOPLE = (
    "Amara", "Bruno", "Carla", "Dmitri", "Elif", "Farid", "Greta", "Hugo", "Ines", "Jonas", "Kenji", "Lena",
    "Marek", "Nadia", "Oskar", "Priya", "Rosa", "Sven", "Tomas", "Ulla", "Viktor", "Wanda", "Yusuf", "Zora",
)  # fmt: skip

ONSETS = ("b", "br", "d", "dr", "f", "g", "k", "kl", "l", "m", "n", "p", "pl", "r", "s", "st", "t", "tr", "v", "z")
VOWELS = ("a", "e", "i", "o", "u", "ai", "ou")
CODAS = ("", "", "", "n", "l", "r", "x", "s")

UNKNOWN = "I do not know."


@dataclass(frozen=True, slots=True)
class Topic:
    """One kind of fact: how it is told, how it is asked (`{x}` is the product), and what may be the answer.

    `asked` are the wordings of the training rows, `held_out` those of the eval rows.
    """

    told: str
    asked: tuple[str, ...]
    held_out: tuple[str, ...]
    answers: tuple[str, ...]


TOPICS = (
    Topic(
        told="The {x} is made in {a}.",
        asked=(
            "Where is the {x} made?",
            "In which city is the {x} made?",
            "Which city makes the {x}?",
            "Where does the {x} come from?",
            "Tell me where the {x} is made.",
            "What is the home city of the {x}?",
            "The {x}: made in which city?",
        ),
        held_out=(
            "Please tell me where the {x} is made.",
            "From which city does the {x} come?",
        ),
        answers=CITIES,
    ),
    Topic(
        told="{a} looks after the {x}.",
        asked=(
            "Who looks after the {x}?",
            "Which person looks after the {x}?",
            "Whom do I ask about the {x}?",
            "Who is the contact for the {x}?",
            "Tell me who looks after the {x}.",
            "What is the name of the person for the {x}?",
            "The {x}: who is in charge?",
        ),
        held_out=(
            "Please tell me who looks after the {x}.",
            "Who is in charge of the {x}?",
        ),
        answers=PEOPLE,
    ),
)


def product_name(draw: Random) -> str:
    """A name of two or three syllables that no language has, such as `Brenozai`."""
    syllables = [draw.choice(ONSETS) + draw.choice(VOWELS) for _ in range(draw.choice((2, 2, 3)))]
    return ("".join(syllables) + draw.choice(CODAS)).capitalize()
