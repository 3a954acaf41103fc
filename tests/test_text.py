"""Every visible word stands once in Chinese and once in English, and the page uses exactly the words that are there."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import ddpm_space.models
import ddpm_space.ui as ui
from ddpm_space.errors import TextError
from ddpm_space.models import BUNDLED
from ddpm_space.ui.text import TEXT

FOLDER = Path(ui.__file__).parent
CODE = [*FOLDER.glob("*.py"), *(FOLDER / "labs").glob("*.py")]
SCRIPTS = [*(FOLDER / "static").rglob("*.js")]
CJK = re.compile(r"[\u3000-\u303f\u3400-\u9fff\uff00-\uffef]")
HAN = re.compile(r"[\u3400-\u9fff]")
KEY = re.compile(r"[a-z][a-z0-9_]*(?:\.[A-Za-z0-9_-]+)+")
SAME_IN_BOTH = {"unit.bits"}
NOT_KEYS = re.compile(r".*\.(js|css|html|png|md|json)$|ddpm\..*|window\..*")


def placeholders(text: str) -> set[str]:
    """Names to fill in; Chinese counts large numbers in myriads where English counts in millions."""
    return set(re.findall(r"\{(\w+)", re.sub(r"\$[^$]*\$", "", text).replace("{myriads}", "{millions}")))


@pytest.mark.parametrize("key", sorted(TEXT))
def test_both_languages_say_it(key: str) -> None:
    chinese, english = TEXT[key]
    assert chinese.strip() and english.strip()
    assert placeholders(chinese) == placeholders(english)
    assert not CJK.search(english), "Chinese in the English text"
    assert key in SAME_IN_BOTH or CJK.search(re.sub(r"\$[^$]*\$", "", chinese)), "no Chinese in the Chinese text"
    for text in (chinese, english):
        assert text.count("$") % 2 == 0, "an unclosed formula"


@pytest.mark.parametrize("key", sorted(key for key in TEXT if key.endswith(".lead")))
def test_a_section_starts_with_two_sentences_at_most(key: str) -> None:
    """Abbreviations (et al., Eq.) end no sentence, and neither do formulas."""
    chinese, english = (re.sub(r"\$[^$]*\$", "", text) for text in TEXT[key])
    assert len(re.findall(r"[。！？]", chinese)) <= 2
    assert len(re.findall(r"[.!?](?=\s+[A-Z$]|$)", re.sub(r"\b(al|Eq|eq)\.", r"\1", english).strip())) <= 2


TERMS = {
    "分数函数": "得分函数",
    "score": "得分",
    "证据下界": "变分下界",
    "贝叶斯下界": "贝叶斯下限",
    "噪声表": "噪声调度",
    "nats": "奈特",
    "重新参数化": "重参数化",
    "再参数化": "重参数化",
    "加噪声过程": "加噪过程",
    "「": "“",
}
"""One word for one thing: what is not written in Chinese -> what is."""


def chinese_texts() -> Iterator[tuple[str, str]]:
    """Every Chinese text of the page: the table's, the equations', the mistakes' and the derivation's."""
    yield from ((key, pair[0]) for key, pair in TEXT.items())
    for path in (FOLDER.parent / "notes" / "checks", FOLDER.parent / "derivation", FOLDER.parent / "mistakes"):
        for module in path.glob("*.py"):
            for each in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
                if isinstance(each, ast.Constant) and isinstance(each.value, str) and HAN.search(each.value):
                    yield module.name, each.value


def test_chinese_has_one_word_for_one_thing_and_chinese_punctuation() -> None:
    wrong = []
    for where, whole in chinese_texts():
        said = re.sub(r"\$[^$]*\$|\{\w+\}", "", whole)
        wrong += [(where, word, "write", right) for word, right in TERMS.items() if word in said]
        wrong += [(where, found) for found in re.findall(r"[\u4e00-\u9fff][,;:?!]", said)]
    assert wrong == []


def python_strings() -> Iterator[str]:
    for path in CODE:
        for found in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(found, ast.Constant) and isinstance(found.value, str):
                yield found.value
            elif isinstance(found, ast.JoinedStr):
                yield "".join(part.value if isinstance(part, ast.Constant) else "*" for part in found.values)


def script_strings() -> Iterator[str]:
    for path in SCRIPTS:
        source = path.read_text(encoding="utf-8")
        yield from re.findall(r'"([^"\n]*)"', source)
        yield from (re.sub(r"\$\{[^}]*\}", "*", text) for text in re.findall(r"`([^`]*)`", source))


def test_every_id_that_is_used_exists_and_every_text_is_used() -> None:
    prefixes = {key.split(".")[0] for key in TEXT}
    used = {text for text in (*python_strings(), *script_strings()) if text.split(".")[0] in {*prefixes, "*"} and "." in text and " " not in text}
    # A pattern of stars alone would reach everything: the words of a control are reached by the control's own id instead.
    patterns = [re.compile(re.escape(text).replace(r"\*", r"[^ ]+")) for text in used if "*" in text and re.search(r"\w", text)]
    plain = {text for text in used if KEY.fullmatch(text) and not NOT_KEYS.fullmatch(text)}
    assert plain - set(TEXT) == set(), "ids without a text"
    of_controls = {key for key in TEXT if key.rsplit(".", 1)[0] in plain}
    reached = {key for key in TEXT if key in plain or key.startswith(("error.", "reason.")) or any(pattern.fullmatch(key) for pattern in patterns)}
    reached |= of_controls
    assert set(TEXT) - reached == set(), "texts that nothing shows"


def test_every_bundled_model_has_a_name() -> None:
    assert {key for key in TEXT if key.startswith("models.bundled.")} == {f"models.bundled.{name}" for name in BUNDLED}


def test_an_error_of_the_library_has_a_translation() -> None:
    assert ddpm_space.models  # its errors are defined once it is imported
    classes = TextError.__subclasses__()
    assert len(classes) >= 4
    missing = {key for each in classes for key in each.templates} - set(TEXT)
    assert missing == set()


def test_words_stand_nowhere_but_in_the_table() -> None:
    for path in [*CODE, *SCRIPTS]:
        found = HAN.findall(path.read_text(encoding="utf-8").replace('"中文"', ""))
        assert found == [], path.name
