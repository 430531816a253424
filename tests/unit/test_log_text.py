"""What the text log shows: one line for each message, and no token of an address."""

import logging
import sys
import time

import pytest

from xnathub_conf.operating.log_text import OneLine, in_one_line, without_tokens

TOKEN = "0123456789abcdef0123456789abcdef"


@pytest.mark.parametrize(
    "address",
    [
        f"/jupyterhub/user/demo/lab?token={TOKEN}",
        f"/jupyterhub/user/demo/lab?a=b&token={TOKEN}&c=d",
        f"/jupyterhub/user/demo/lab?access_token={TOKEN}#part",
        f"/jupyterhub/hub/login?next=%2Fjupyterhub%2Fuser%2Fdemo%2Flab%3Ftoken%3D{TOKEN}",
        f"/jupyterhub/hub/login?next=%2Flab%3Fa%3Db%26token%3D{TOKEN}%26c%3Dd",
        f"/jupyterhub/hub/login?next=%252Flab%253Ftoken%253D{TOKEN}",
        f"/jupyterhub/hub/login?next=/lab%3ftoken%3d{TOKEN}",
        f"/jupyterhub/hub/spawn?_xsrf={TOKEN}",
        f"/jupyterhub/hub/api/oauth2/authorize?code={TOKEN}&state={TOKEN}",
        f"/x;jsessionid={TOKEN}",
        f"/x?TOKEN={TOKEN}",
    ],
)
def test_addresses_lose_their_tokens(address):
    text = without_tokens(f'302 GET {address} -> "{address}" (@127.0.0.1) 1.2ms')
    assert TOKEN not in text
    assert "[secret]" in text
    assert text.endswith("(@127.0.0.1) 1.2ms")


def test_what_is_no_token_stays():
    text = "GET /jupyterhub/hub/home?page=2&next=%2Flab (alice@192.0.2.1): the token is wrong; state=ok"
    assert without_tokens(text) == text


@pytest.mark.parametrize(
    "character", "\n\r\x0b\x0c\x1b\x85\u2028\u2029\x9b\u202e\u2066\u200b\x00\ud800\U000e0001"
)
def test_nothing_begins_a_line_or_turns_text_around(character):
    line = in_one_line(f"a{character}[I 2026] b")
    assert character not in line
    assert line.isprintable()
    assert len(line.splitlines()) == 1


def test_words_of_all_languages_stay():
    text = "Zoë Müller 王小明 مريم\t✓"
    assert in_one_line(text) == text


def test_a_record_of_an_error_is_one_message_with_an_indented_traceback():
    try:
        raise ValueError(f"a\n[I 2026] forged ?token={TOKEN}\x1b[2J")
    except ValueError:
        record = logging.getLogger("x").makeRecord(
            "x", logging.ERROR, "x", 1, "of %s\nforged", ("alice\u2028x",), sys.exc_info()
        )
    assert OneLine().filter(record)
    lines = logging.Formatter().format(record).split("\n")
    assert lines[0] == r"of alice\u2028x\nforged"
    assert all(line.startswith(("    ", "Traceback")) for line in lines[1:])
    assert TOKEN not in "".join(lines)
    assert "\x1b" not in "".join(lines)


@pytest.mark.parametrize("where", ["message", "traceback"])
def test_a_message_is_of_bounded_length(where):
    text = "x" * 1_000_000
    try:
        raise ValueError(text if where == "traceback" else "")
    except ValueError:
        record = logging.getLogger("x").makeRecord(
            "x", logging.ERROR, "x", 1, "of %s", (text if where == "message" else "",), sys.exc_info()
        )
    assert OneLine().filter(record)
    written = logging.Formatter().format(record)
    assert len(written) < 20_000
    assert "more characters)" in written


def test_a_long_message_takes_no_time_to_speak_of():
    began = time.process_time()
    for part in ("?token=", "%3F", "&a", "?a.a-a", "%25", "tokentoken"):
        without_tokens(part * 20_000)
    assert time.process_time() - began < 5
