"""Captions as they are stored: words in lower case, joined by one space."""

import unicodedata

import pytest

from pipeline.dataset.captions import normalised

CASES = [
    ("A cat, asleep.", "a cat asleep"),
    ('  And\na "dog"\t\r\n(barking)!  ', "and a dog barking"),
    ("", ""),
    (" \n", ""),
    ("?!… — -- ''", ""),
    # Apostrophes and hyphens within words, and elsewhere.
    ("Don't", "don't"),
    ("don\u2019t, l\u2019été", "don't l'été"),
    ("'quoted' words, the dogs' bowls", "quoted words the dogs bowls"),
    ("\u2018one\u2019 and \u201ctwo\u201d", "one and two"),
    ("a T-shirt and a t\u2011shirt and a t\u2010shirt", "a t-shirt and a t-shirt and a t-shirt"),
    ("rock -- roll, well-- yes, -5 and 5-", "rock roll well yes 5 and 5"),
    ("rock-'n'-roll o''clock", "rock n roll o clock"),
    ("8-bit, Route 66-A, 90's", "8-bit route 66-a 90's"),
    # Digits are words, marks between them are not.
    ("3.5 of 1,000 at 50%, x²", "3 5 of 1 000 at 50 x"),
    ("snake_case and/or a@b.c", "snake case and or a b c"),
    ("٣ قطط", "٣ قطط"),
    # Accents, composed or not, and case by Unicode.
    ("CAFÉ", "café"),
    ("cafe\u0301", "café"),
    ("Stra\u00dfe GRO\u1e9eE", "straße große"),
    ("ΟΔΟΣ ΣΑΣ", "οδος σας"),
    ("İstanbul ISPARTA", "i\u0307stanbul isparta"),
    ("I\u0307stanbul", "i\u0307stanbul"),
    ("\u212bngstr\u00f6m", "ångström"),
    # A mark that no letter takes in one character stays with its letter; before an apostrophe, too.
    ("q\u0323\u0307'y", "q\u0323\u0307'y"),
    ("\u0301a", "a"),
    ("x' \u0301y x'\u0301y", "x y x y"),
    ("हिन्दी में बिल्ली।", "हिन्दी में बिल्ली"),
    ("猫が、走る。", "猫が 走る"),
    ("ﾈｺ 고양이", "ﾈｺ 고양이"),
    ("cats 🐈🐈 run 😀!", "cats run"),
    ("👨‍👩‍👧 family ❤️ love", "family love"),
    ("zero\u200bwidth soft\u00adhyphen no\u00a0break", "zero width soft hyphen no break"),
    ("\ufeffbyte order\x00\x1b[31mmark", "byte order 31mmark"),
]


@pytest.mark.parametrize(("text", "words"), CASES)
def test_words_in_lower_case_joined_by_one_space(text: str, words: str) -> None:
    assert normalised(text) == words
    assert normalised(words) == words


def test_composed_and_decomposed_texts_are_one() -> None:
    for text, _ in CASES:
        forms = {normalised(unicodedata.normalize(form, text)) for form in ("NFC", "NFD")}
        assert len(forms) == 1


def test_every_character_alone_and_in_a_word() -> None:
    """A result has no other white space than single ones between words, and stays itself."""
    for first in range(0, 0x20000, 256):
        characters = map(chr, range(first, first + 256))
        found = normalised("".join(f"{each} a{each}b {each}'{each}-{each}\n" for each in characters))
        assert normalised(found) == found
        assert found.split(" ") == found.split()
        assert unicodedata.is_normalized("NFC", found)
