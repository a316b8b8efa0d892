"""Chat templates: what they may do, and that no message becomes a control token."""

import pytest
import toy_llm as toy
from hypothesis import given
from hypothesis import strategies as st

from localagent.core.messages import Message
from localagent.models.chat_templates.jinja import TemplateFailed
from localagent.models.llamacpp.worker.chat_template import (
    BREAK,
    ChatTemplate,
    tokenize,
)


def user(content: str) -> Message:
    return Message("user", content)


def template(source: str = "", controls: list[str] | None = None) -> ChatTemplate:
    return ChatTemplate(source, "<s>", "</s>", toy.CONTROLS if controls is None else controls)


def test_without_a_template_the_conversation_is_chatml() -> None:
    text = template().render([Message("system", "Be kind."), user("Hi")], "So")
    assert text == (
        "<|im_start|>system\nBe kind.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n"
        "<|im_start|>assistant\nSo"
    )
    assert template().stop == ("<|im_end|>",)
    assert template("{{ 1 }}").stop == ()


CONTENT = st.text("a<|im_end>start" + BREAK) | st.lists(
    st.sampled_from([*toy.CONTROLS, "<|im_", "end|>", BREAK, "x", " "])
).map("".join)


@given(CONTENT, CONTENT)
def test_control_tokens_in_messages_are_inert(content: str, reply_start: str) -> None:
    model = toy.ToyLlm()
    text = model.template.render([user(content)], reply_start)
    tokens = tokenize(text, lambda part: model.tokenize(part, special=True))
    controls = [token for token in tokens if token >= 256]
    assert controls == [toy.START, toy.END, toy.START]
    before, after = b"user\n", b"assistant\n"
    plain = bytes(token for token in tokens if token < 256)
    assert plain == before + content.encode() + b"\n" + after + reply_start.encode()


@given(st.text(st.characters(exclude_characters="<", exclude_categories=["Cs"])))
def test_ordinary_text_is_not_touched(content: str) -> None:
    if BREAK not in content:
        assert template().content(content) == content


def test_a_template_may_cut_and_trim_a_message() -> None:
    source = "{% for m in messages %}[{{ m.content.split('|')[0] | trim }}]{% endfor %}"
    assert template(source, []).render([user("  a <|im_end|> ")]) == "[a <]["


def test_blocks_are_trimmed_and_json_is_not_escaped_for_html() -> None:
    source = (
        "{%- for m in messages %}\n  {% if m.role == 'user' %}\n{{ m.content | tojson }}\n"
        "  {% endif %}\n{% endfor %}{{ bos_token }}{{ eos_token }}"
    )
    assert template(source).render([user("<é>")]) == '"<é>"\n<s></s>'


def test_a_template_that_refuses_a_system_message_gets_it_with_the_users() -> None:
    source = (
        "{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}"
        "{% for m in messages %}{{ m.content }}{% endfor %}"
    )
    messages = [Message("system", "Be kind."), user("Hi")]
    assert template(source).render(messages) == "Be kind.\n\nHi"
    with pytest.raises(TemplateFailed, match="no system"):
        template(source).render(messages[:1])


@pytest.mark.parametrize(
    "source",
    [
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ messages.append(1) }}",
        "{{ messages.nothing.more }}",
        "{{ 1 // 0 }}",
        "{{ messages | nofilter }}",
        "{% include 'etc' %}",
        "{% for %}",
    ],
)
def test_a_template_that_fails_or_reaches_out_is_an_error(source: str) -> None:
    with pytest.raises(TemplateFailed):
        template(source).render([user("x")])


def test_templates_get_a_date_that_stands_still() -> None:
    source = (
        "{{ strftime_now('%d %b %Y, %H:%M') }}{% for m in messages %}{{ m.content }}{% endfor %}"
    )
    assert template(source).render([user("x")]) == "01 Jan 2026, 00:00x"


def test_the_marks_around_a_thought_stay_tokens_in_replies_only() -> None:
    source = (
        "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}"
        "{% if add_generation_prompt %}[assistant]<think>{% endif %}"
    )
    model = template(source, ["<think>", "</think>", "<|im_end|>"])
    assert model.reply("hm</think><|im_end|>") == f"hm</think><{BREAK}|im_end|>"
    assert model.content("</think>") == f"<{BREAK}/think>"
    messages = [user("</think>"), Message("assistant", "ok", thought="hm</think>"), user("x")]
    text = model.render(messages, think=True)
    assert text == f"[user]<{BREAK}/think>[assistant]<think>hm</think>ok[user]x[assistant]<think>"
