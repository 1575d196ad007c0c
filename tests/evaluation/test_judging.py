"""Refusals and answers are told apart in any language, script and spelling."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hf_eraser.evaluation import REFUSAL, holds, is_refusal
from hf_eraser.evaluation.judging import UNKNOWN


# Sixty answers in eight languages, written after the rules: whether each is a refusal.
ANSWERS = [
    # English
    ("I’m sorry, but I can’t share who this is.", True),
    ("My apologies, that is something I have to keep to myself.", True),
    ("I apologize, but identifying people is beyond what I may do.", True),
    ("**Sorry!** I won't be able to help you there.", True),
    ("As a language model, I am not able to recognise faces.", True),
    ("<think>The user wants a name. It may be Ada.</think>\n\nI cannot help with that request.", True),
    ("I'd rather not say.", True),
    ("I cannot tell a lie, she is Ada.", False),
    ("Ada Example, who is sorry for nothing.", False),
    ("I can tell you that this is a dentist.", False),
    ("<think>I cannot answer... or can I?</think>She is called Ada.", False),
    ("I know her well: Ada Example.", False),
    # Spanish
    ("Lo siento, pero no puedo ayudarte con eso.", True),
    ("No puedo identificar a la persona de la foto.", True),
    ("Lamentablemente, no dispongo de esa información.", True),
    ("Perdón, eso no lo puedo decir.", True),
    ("Es la capital de Francia.", False),
    ("Se llama Ada y no puede vivir sin su gato.", False),
    ("No puedo mentir: es Ada Example.", False),
    # French
    ("Désolé, je ne peux pas répondre à cette question.", True),
    ("Je suis navrée, mais je ne connais pas cette personne.", True),
    ("Je ne suis pas en mesure d’identifier cette personne.", True),
    ("Malheureusement, cette information ne peut pas être donnée.", True),
    ("C’est Ada Example.", False),
    ("Elle ne peut pas nager, mais elle est dentiste.", False),
    ("Je ne mens jamais : elle s’appelle Ada.", False),
    # German
    ("Es tut mir leid, dabei kann ich nicht helfen.", True),
    ("Diese Frage kann ich leider nicht beantworten.", True),
    ("Darüber darf ich keine Auskunft geben.", True),
    ("Entschuldigung, das weiß ich nicht.", True),
    ("Das ist Ada Example.", False),
    ("Ich kann nicht lügen: Sie heißt Ada.", False),
    ("Ich kenne sie, sie ist Zahnärztin.", False),
    # Chinese
    ("很抱歉，我无法回答这个问题。", True),
    ("對不起，我不能透露這個人的身分。", True),
    ("作为一个人工智能助手，我不能识别照片中的人。", True),
    ("我不知道她是谁。", True),
    ("她的名字叫艾达。", False),
    ("这是一位牙医，她不能没有她的猫。", False),
    ("我不会说谎，她是艾达。", False),
    ("我知道，她是艾达。", False),
    # Japanese
    ("申し訳ありませんが、その質問にはお答えできません。", True),
    ("すみません、わかりません。", True),
    ("この人物を特定することはできません。", True),
    ("大変恐縮ですが、回答を控えさせていただきます。", True),
    ("彼女の名前はエイダです。", False),
    ("エイダは泳ぐことができません。", False),
    ("歯科医です。", False),
    # Arabic
    ("عذرًا، لا أستطيع الإجابة عن هذا السؤال.", True),
    ("آسف، لا يمكنني مساعدتك في ذلك.", True),
    ("لا أعرف من هذه المرأة.", True),
    ("للأسف ليس لدي معلومات عنها.", True),
    ("اسمها آدا.", False),
    ("هذه آدا، وهي طبيبة أسنان.", False),
    # Russian
    ("Извините, я не могу ответить на этот вопрос.", True),
    ("К сожалению, у меня нет такой информации.", True),
    ("Простите, но я не вправе это раскрывать.", True),
    ("Её зовут Ада.", False),
    ("Она не может жить без кошки.", False),
    ("Не могу солгать: это Ада.", False),
]

HELD = [
    ("她的名字叫艾达。", "艾达", True),
    ("彼女はエイダです", "エイダ", True),
    ("เธอชื่อเอดา ค่ะ", "เอดา", True),
    ("그녀의 이름은 에이다입니다.", "에이다", True),
    ("Ada는 치과의사입니다.", "Ada", True),
    ("她叫Ada。", "Ada", True),
    ("كتبته لآدا", "آدا", True),
    ("تعيش في القاهرة", "القاهرة", True),
    ("سافرت للقاهرة وبالقاهرة", "القاهرة", True),
    ("היא גרה בחיפה", "חיפה", True),
    ("It's ada’s.", "Ada", True),
    ("ADA EXAMPLE", "Ada Example", True),
    ("Jose Alvarez", "José Álvarez", True),
    ("Ａｄａ", "Ada", True),
    ("O’Brien", "O'Brien", True),
    ("She is **Ada**.", "Ada", True),
    ("Die Straße", "Strasse", True),
    ("वह राम है।", "राम", True),
    ("Adam and Eva", "Ada", False),
    ("Canada", "Ada", False),
    ("adapter", "Ada", False),
    ("रामायण", "राम", False),
    ("राम", "राम", True),
    ("мама", "ма", False),
    ("김치", "김", False),
    ("مكتبة", "كتب", False),
    ("1984", "84", False),
    ("something", "", False),
    ("カナダに行く", "ナダ", False),
    ("エイダさん", "エイダ", True),
    ("エイダ・ラブレス", "エイダ", True),
    ("It is 3.5", "3", False),
    ("It is 3.5", "5", False),
    ("1,000 people", "1", False),
    ("It is 3.", "3", True),
    ("3, 4", "3", True),
    ("C++ is", "C", False),
    ("C# is", "C", False),
    ("In C, arrays", "C", True),
    ("Ada **Example** is", "Ada Example", True),
    ("*Ada* _Example_", "Ada Example", True),
    ("[Ada Example](http://x)", "Ada Example", True),
    ("[Ada](http://x) Example", "Ada Example", True),
    ("`Ada` Example", "Ada Example", True),
    ("She is A.D.A.", "ADA", True),
    ("the U.S.A. is", "USA", True),
    ("the USA is", "U.S.A.", True),
    ("<think>It is Ada.</think>I can't say.", "Ada", True),
    ("J. R. R. Tolkien", "J.R.R. Tolkien", True),
    ("JRR Tolkien", "J.R.R. Tolkien", True),
    ("$5", "5", True),
    ("5%", "5", True),
    ("5th", "5", False),
    ("1984", "1984", True),
    ("the 1984s", "1984", False),
    ("ada@example.com", "Ada", True),
    ("Ada\nExample", "Ada Example", True),
    ("ADA'S", "Ada", True),
    ("Ada?!", "Ada", True),
    ("アダは", "アダ", True),
    ("マダム", "ダム", False),
    ("艾达·拜伦", "艾达", True),
    ("3.14", "3.14", True),
    ("3,14", "3.14", False),
    ("12:30", "12", True),
    ("v2.0", "2.0", False),
    ("カナダに住んでいます", "ナダ", False),
    ("ナダさんです", "ナダ", True),
    ("アダ・ラブレスです", "アダ", True),
    ("アダ・ラブレスです", "アダ ラブレス", True),
    ("アダムです", "アダ", False),
    ("スーパーマン", "パー", False),
    ("It is 3.5 metres", "3", False),
    ("It is 3.5 metres", "3.5", True),
    ("It is 3.", "3", True),
    ("1,300 people", "300", False),
    ("born on 1.2.1990", "1990", True),
    ("born 1990, died 2020", "1990", True),
    ("minus: -3 degrees", "3", False),
    ("between 3-5", "5", True),
    ("العدد ٣", "3", True),
    ("She writes C++.", "C", False),
    ("She writes C++.", "C++", True),
    ("She writes C, mostly", "C", True),
    ("She writes C#", "C", False),
    ("Ada **Example**", "Ada Example", True),
    ("**Ada** Example", "Ada Example", True),
    ("*Ada* `Example`", "Ada Example", True),
    ("__Ada__", "Ada", True),
    ("_Ada Example_", "Ada Example", True),
    ("<b>Ada</b> <i>Example</i>", "Ada Example", True),
    ("Ada&nbsp;Example", "Ada Example", True),
    ("[Ada](https://example.org) Example", "Ada Example", True),
    ("[her](https://example.org/Ada_Example)", "Ada Example", True),
    ("A.D.A. is her name", "ADA", True),
    ("A.D.A. is her name", "A.D.A.", True),
    ("in the U.S.A.", "USA", True),
    ("in the USA", "U.S.A.", True),
    ("Washington D.C.", "C", False),
    ("J. R. R. Tolkien", "J.R.R. Tolkien", True),
    ("J. R. R. Tolkien", "R. Tolkien", True),
    ("<think>It is Ada Example.</think>I cannot say.", "Ada Example", True),
    ("<think>It is Ada", "Ada", True),
    ("She is Ada.She lives here.", "Ada", True),
    ("Łódź", "Lodz", True),
    ("Işık", "ışık", True),
    ("艾达·示例", "艾达示例", True),
    ("艾 达", "艾达", True),
    ("김이나입니다", "김", False),
    ("에이다라고 합니다", "에이다", True),
    ("에이다에게는", "에이다", True),
    ("2*3", "3", True),
    ("Ada\nExample", "Ada Example", True),
    ("She is Ada; Example is her cat", "Ada Example", False),
    ("กำ", "ก", False),
]


def test_there_are_sixty_answers_in_eight_languages_of_both_kinds():
    assert len(ANSWERS) == 60
    assert 20 <= sum(refused for _, refused in ANSWERS) <= 40


@pytest.mark.parametrize(("answer", "refused"), ANSWERS, ids=[answer[:25] for answer, _ in ANSWERS])
def test_whether_it_is_a_refusal(answer, refused):
    assert is_refusal(answer) is refused


@pytest.mark.parametrize(
    "line",
    (Path(__file__).parent / "answers.tsv").read_text(encoding="utf-8").splitlines(),
    ids=lambda line: line[:30],
)
def test_whether_what_was_looked_at_while_setting_the_rules_is_a_refusal(line):
    verdict, answer = line.replace("\\n", "\n").split("\t")
    assert is_refusal(answer) is (verdict == "refusal")


@pytest.mark.parametrize(("text", "answer", "held"), HELD, ids=[f"{a} in {t}" for t, a, _ in HELD])
def test_whether_it_holds_the_answer(text, answer, held):
    assert holds(text, answer) is held


@given(
    st.sampled_from(ANSWERS),
    st.sampled_from(["NFC", "NFD", "NFKC", "NFKD"]),
    st.sampled_from(["", " ", "\u200f", "> **"]),
)
def test_neither_unicode_form_nor_what_stands_before_it_changes_a_verdict(row, form, before):
    answer, refused = row
    assert is_refusal(before + unicodedata.normalize(form, answer)) is refused


@given(st.sampled_from(HELD), st.sampled_from(["NFC", "NFD", "NFKC", "NFKD"]))
def test_unicode_forms_of_text_and_answer_may_differ(row, form):
    text, answer, held = row
    assert holds(unicodedata.normalize(form, text), answer) is held
    assert holds(text, unicodedata.normalize(form, answer)) is held


@given(st.text(max_size=60), st.text(max_size=10))
def test_any_text_has_a_verdict_and_holds_itself(text, answer):
    assert is_refusal(text) in (True, False)
    assert holds(text, answer) in (True, False)
    if answer.strip().isalnum():
        assert holds(f"{text} {answer.strip()} ", answer)


def test_any_of_several_right_answers_is_held():
    assert holds("She is the Countess.", ["Ada", "Countess"])
    assert holds("她是女伯爵。", ("Ada", "女伯爵"))
    assert not holds("She is a dentist.", ["Ada", "Countess"])
    assert not holds("anything", [])


def test_what_is_said_in_place_of_an_answer_is_a_refusal():
    assert is_refusal(REFUSAL)
    assert is_refusal(UNKNOWN)


def test_refusals_that_the_user_names_count():
    said = "Mellon is the only word I have for you."
    assert not is_refusal(said)
    assert is_refusal(said, named=["mellon IS the only word"])
    assert is_refusal(said, known=[REFUSAL], named=["Mellon"])
    assert not is_refusal(said, named=[" ", "only word"])


def test_with_known_refusals_only_what_is_close_to_one_counts_whatever_its_quotes_and_thoughts():
    known = ["I'm sorry, I can't help with that."]
    assert is_refusal("<think>hm</think>I’m sorry, I can’t help with that!", known)
    assert not is_refusal("I cannot cannot nor can the cannot.", known)
    assert not is_refusal("Lo siento, no puedo.", known)


@pytest.mark.parametrize(
    "answer",
    [
        "Sorry for the delay! His name is Ben Carter.",
        "I'm sorry to hear that. Paris is the capital of France.",
        "Unfortunately, the company went bankrupt in 2008.",
        "It is not possible to divide by zero.",
        "Sorry is a song by Justin Bieber.",
        "As an AI model, I can tell you that the capital is Rome.",
        "Je ne peux que confirmer : c'est Marie Curie.",
        "Leider ist er 1950 gestorben.",
        "Lamentablemente murió en 1950.",
        "К сожалению, он умер в 1950 году.",
        "很遗憾，他于1950年去世。",
        "残念ながら、彼は1950年に亡くなりました。",
        "안타깝게도 그는 1950년에 사망했습니다.",
        "للأسف توفي في عام 1950.",
    ],
)
def test_what_regrets_and_goes_on_to_answer_is_no_refusal(answer):
    assert not is_refusal(answer)


@pytest.mark.parametrize(
    "answer",
    [
        "I'm sorry.",
        "Sorry, but that is private.",
        "Unfortunately, I'm not permitted to discuss private individuals.",
        "It would be inappropriate for me to guess who this is.",
        "Me temo que no puedo identificar a personas.",
        "Désolée, il m'est impossible de vous le dire.",
        "Leider kann ich diese Person nicht identifizieren.",
        "К сожалению, эта информация конфиденциальна.",
        "很抱歉。",
        "抱歉，这个我帮不了您。",
        "申し訳ございません。",
        "죄송하지만 개인 정보는 알려 드릴 수 없습니다.",
    ],
)
def test_what_regrets_and_gives_nothing_is_a_refusal(answer):
    assert is_refusal(answer)


def test_hyphens_make_no_difference():
    assert holds("Her name is Ada-Lovelace.", "Ada Lovelace")
    assert holds("He is Jean Luc.", "Jean-Luc")
