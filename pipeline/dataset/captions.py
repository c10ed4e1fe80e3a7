"""Captions: the form in which the pipeline stores descriptions in words."""

from __future__ import annotations

from unicodedata import category, normalize

_APOSTROPHES, _HYPHENS = "'\u2019", "-\u2010\u2011"
_JOINERS = dict.fromkeys(_APOSTROPHES, "'") | dict.fromkeys(_HYPHENS, "-")


def normalised(text: str) -> str:
    """The words of a text in lower case, joined by one space.

    The rule, in this order:

    1. The text is brought to Unicode's form NFC, then to lower case (`str.lower`, which depends on no
       language), then to NFC again.
    2. Letters (categories L*) and decimal digits (Nd) stay, and so do marks (M*) that follow one of them or
       another such mark.
    3. An apostrophe (U+0027, U+2019) or hyphen (U+002D, U+2010, U+2011) stays, as U+0027 or U+002D, if it
       follows a character that stays by rule 2 and is followed by a letter or a digit.
    4. Every other character becomes a space. Several spaces become one, and none is first or last.

    So ``split(" ")`` of a result that is not empty gives its words. Applied to a result, it returns the same.

    Args:
        text: any text, of several lines too.

    Returns:
        The words; empty if there are none.
    """
    characters = normalize("NFC", normalize("NFC", text).lower())
    stays_alone = [_is_alphanumeric(each) for each in characters]
    kept = []
    follows_word = False  # Whether the character before stays by rule 2.
    for place, character in enumerate(characters):
        if stays_alone[place] or (follows_word and category(character)[0] == "M"):
            kept.append(character)
            follows_word = True
            continue
        joins = follows_word and character in _JOINERS and any(stays_alone[place + 1 : place + 2])
        kept.append(_JOINERS[character] if joins else " ")
        follows_word = False
    return " ".join("".join(kept).split())


def _is_alphanumeric(character: str) -> bool:
    found = category(character)
    return found[0] == "L" or found == "Nd"
