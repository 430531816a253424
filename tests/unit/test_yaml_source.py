"""YAML text: each of its traps is closed, each place is right, and nothing but SiteError comes out."""

import re
import resource
import time

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from xnathub_conf.site.problems import SiteError
from xnathub_conf.site.yaml_source import MAX_BYTES, MAX_DEPTH, Document, parse_yaml


def read(text):
    return parse_yaml(text if isinstance(text, bytes) else text.encode(), "f.yaml")


def problems(text):
    """Everything that is said of the text, whether or not it could be read to its end."""
    try:
        return list(read(text).problems)
    except SiteError as error:
        return list(error.problems)


def said(text):
    return [(p.rule, p.line, p.column) for p in problems(text)]


BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 12)
)
TOWER = "a0: &a0 " + "[" * 25 + "]" * 25 + "\n"
TOWER += "".join(f"a{i}: &a{i} {'[' * 25}*a{i - 1}{']' * 25}\n" for i in range(1, 60))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # The same key twice, at any level.
        ("a: 1\nb: 2\na: 3\n", [("duplicate-key", 3, 1)]),
        ("a:\n  b:\n    c: 1\n    c: 1\n", [("duplicate-key", 4, 5)]),
        ("a: [{b: 1, b: 2}]", [("duplicate-key", 1, 12)]),
        ("a: 1\na: 2\na: 3\n", [("duplicate-key", 2, 1), ("duplicate-key", 3, 1)]),
        ("a: {x: 1}\na: {x: 1, x: 2}\n", [("duplicate-key", 2, 1), ("duplicate-key", 2, 11)]),
        ('a: 1\n"a": 2\n', [("duplicate-key", 2, 1)]),
        ('"\\u0061": 1\na: 2\n', [("duplicate-key", 2, 1)]),
        # Tabs.
        ("a:\n\tb: 1\n", [("tab", 2, 1)]),
        ("a:\n  b: 1\n  \tc: 1\n", [("tab", 3, 3)]),
        # Text that some readers take for true, false, a number or a date.
        *(
            (f"a: {text}\n", [("ambiguous", 1, 4)])
            for text in ("no", "No", "NO", "on", "yes", "off", "y", "N")
        ),
        *((f"a: {text}\n", [("ambiguous", 1, 4)]) for text in ("0777", "0o17", "-012", "09.5", "00")),
        *((f"a: {text}\n", [("ambiguous", 1, 4)]) for text in ("1:30", "12:30:45", "190:20:30.15", "-1:30")),
        *(
            (f"a: {text}\n", [("ambiguous", 1, 4)])
            for text in ("1_000", "1__0", "1_", "1_0.5", "0x1F", "0b101")
        ),
        *(
            (f"a: {text}\n", [("ambiguous", 1, 4)])
            for text in (".inf", "-.INF", ".nan", ".NaN", "1e400", "-1e999")
        ),
        *((f"a: {text}\n", [("ambiguous", 1, 4)]) for text in ("2026-01-01", "2026-01-01T10:00:00Z")),
        ("no: 1\n", [("ambiguous", 1, 1)]),
        ("a: [on, {b: 010}]\n", [("ambiguous", 1, 5), ("ambiguous", 1, 13)]),
        # Aliases.
        (BOMB, [("too-large", 5, 15)]),
        (TOWER, [("too-deep", 2, 34)]),
        ("a: &a [*a]\n", [("alias", 1, 8)]),
        ("a: *nowhere\n", [("alias", 1, 4)]),
        ("&k a: 1\nb: *k\n", [("alias", 2, 4), ("key", 1, 1)]),
        # Merge keys and tags.
        ("a: &x {b: 1}\nc:\n  <<: *x\n", [("merge-key", 3, 3)]),
        ("a: !!int 5\n", [("tag", 1, 4)]),
        ("a: !custom x\n", [("tag", 1, 4)]),
        ('a: !!python/object/apply:os.system ["true"]\n', [("tag", 1, 4)]),
        ("!!python/name:os.system a: 1\n", [("tag", 1, 1)]),
        ("a: !!set {b}\n", [("tag", 1, 4)]),
        # Bytes that are not text.
        (b"a: 1\nb: \xff\n", [("encoding", 2, 4)]),
        ("a: é".encode("latin-1"), [("encoding", 1, 4)]),
        ("ü: é\nb: ".encode() + b"\xc3", [("encoding", 2, 4)]),
        ("a: 1\n".encode("utf-16"), [("encoding", 1, 1)]),
        ("a: x\0y\n", [("encoding", 1, 5)]),
        ("a: 1\nb: \x1b[31m\n", [("encoding", 2, 4)]),
        ('a: "x\\0y"\n', [("encoding", 1, 4)]),
        ('"k\\x07": 1\n', [("encoding", 1, 1)]),
        # Ends of lines to YAML 1.1 alone, and those that are ends of lines to all.
        *((f"a: 1\nb: x{end}y\n", [("encoding", 2, 5)]) for end in ("\x85", "\u2028", "\u2029")),
        (b"\xc2\x85\x00", [("encoding", 1, 1)]),
        ("a: 1\rb: 2\r\nc: x\0y\n", [("encoding", 3, 5)]),
        (b"a: 1\rb: \xff\n", [("encoding", 2, 4)]),
        (b"\xef\xbb\xbfa: \xff", [("encoding", 1, 4)]),
        # Nothing, or too much.
        ("", [("empty", 1, 1)]),
        (" \n\n", [("empty", 1, 1)]),
        ("\ufeff", [("empty", 1, 1)]),
        ("# only\n# comments\n", [("empty", 1, 1)]),
        ("a: 1\n---\nb: 2\n", [("several-documents", 2, 1)]),
        ("---\na: 1\n...\n---\nb: 2\n", [("several-documents", 4, 1)]),
        ("a: " + "[" * (MAX_DEPTH + 5), [("too-deep", 1, 4 + MAX_DEPTH)]),
        ("x" * (MAX_BYTES + 1), [("too-large", 1, 1)]),
        # Keys that are not text.
        ("1: a\n", [("key", 1, 1)]),
        ("a:\n  true: b\n", [("key", 2, 3)]),
        ("null: a\n", [("key", 1, 1)]),
        ("? [a, b]\n: c\n", [("key", 1, 3)]),
        ("{a: b}: c\n", [("key", 1, 1)]),
        # Plain mistakes.
        ("a: b: c\n", [("syntax", 1, 5)]),
        ('a: "b\n', [("syntax", 1, 4)]),
        ("a: [1, 2\n", [("syntax", 1, 4)]),
        ("a: 1\n b: 2\n", [("syntax", 2, 3)]),
        ("%YAML 3.0\n---\na: 1\n", [("syntax", 1, 1)]),
    ],
)
def test_each_trap_is_reported_where_it_stands(text, expected):
    assert sorted(said(text)) == sorted(expected)


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ("a: true\nb: False\nc: null\nd: ~\ne:\n", {"a": True, "b": False, "c": None, "d": None, "e": None}),
        (
            "a: 0\nb: -5\nc: +7\nd: 1.5\ne: 1e3\nf: .5\n",
            {"a": 0, "b": -5, "c": 7, "d": 1.5, "e": 1000.0, "f": 0.5},
        ),
        ("a: 'no'\nb: \"0777\"\nc: 'null'\n", {"a": "no", "b": "0777", "c": "null"}),
        ("a: 1.2.3\nb: 8080:80\nc: 1.3.*\nd: v1\n", {"a": "1.2.3", "b": "8080:80", "c": "1.3.*", "d": "v1"}),
        ("a: |\n  x\n  y\nb: >-\n  x\n  y\n", {"a": "x\ny\n", "b": "x y"}),
        ("---\na: 1\n...\n", {"a": 1}),
        ("\ufeffa: 1\n", {"a": 1}),
        ("a: 1\r\nb:\r\n  - x\r\n", {"a": 1, "b": ["x"]}),
        ("a: &x [1]\nb: *x\n", {"a": [1], "b": [1]}),
        ("a: &x [1]\nb: &x [2]\nc: *x\n", {"a": [1], "b": [2], "c": [2]}),
        ("a: grün\n'日本': 😀\n", {"a": "grün", "日本": "😀"}),
        ('"1": a\n"true": b\n', {"1": "a", "true": "b"}),
        ('a: "\\t\\n"\n', {"a": "\t\n"}),
        ("just text\n", "just text"),
        ("[]", []),
    ],
)
def test_what_is_plain_is_read_and_nothing_said(text, data):
    document = read(text)
    assert document.data == data
    assert document.problems == []


@pytest.mark.parametrize(
    ("text", "path", "key", "value"),
    [
        ("a:\n  b:\n    - x\n    - c: 1\n", ("a", "b", 1, "c"), (4, 7), (4, 10)),
        ("a: {b: 1, c: [2, 3]}\n", ("a", "c", 1), (1, 18), (1, 18)),
        ("grün: 日本\nb: {'😀😀': x}\n", ("b", "😀😀"), (2, 5), (2, 11)),
        ("a: {日本: x, b: y}\n", ("a", "b"), (1, 12), (1, 15)),
        ("a: |\n  one\n  two\nb: 1\n", ("b",), (4, 1), (4, 4)),
        ('a: "one\n  two"\nb: 1\n', ("b",), (3, 1), (3, 4)),
        ("a: >\n  one\n\n\n  two\nb:\n\n  - 1\n", ("b", 0), (8, 5), (8, 5)),
        ("# c\r\na: 1\r\nb: 2\r\n", ("b",), (3, 1), (3, 4)),
        ("\ufeffa: 1\n", ("a",), (1, 1), (1, 4)),
        ("? a\n: 1\n", ("a",), (1, 3), (2, 3)),
        ("a: &x {b: 1}\nc: *x\n", ("c", "b"), (2, 1), (2, 1)),
        ("a:\n  b: 1\n", ("a", "gone", "deeper"), (1, 1), (1, 1)),
    ],
)
def test_line_and_column_count_characters_from_one(text, path, key, value):
    document = read(text)
    assert document.key_mark(path) == key
    assert document.value_mark(path) == value


@pytest.mark.parametrize("text", [BOMB, BOMB * 3, TOWER], ids=["bomb", "bombs", "tower"])
def test_aliases_cost_neither_time_nor_memory(text):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.process_time()
    assert problems(text)
    assert time.process_time() - start < 2
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # kilobytes


@pytest.mark.parametrize(
    "text",
    [
        "[" * 900_000,
        "{" * 900_000,
        "? " * 400_000,
        "- " * 400_000,
        "a: '" + "x" * 900_000 + "'",
        "[" + "a," * 400_000 + "]",
        "k: " + "9" * 900_000,
        "k: " + "1:" * 400_000,
        "k: " + "1_" * 400_000 + "x",
        "".join(f"k{i}: 1\n" for i in range(90_000)),
        "&a " * 300_000,
        "!" * 900_000,
        "a: " + "\\" * 900_000,
    ],
    ids=lambda text: text[:6],
)
def test_a_large_file_takes_no_long_time(text):
    start = time.process_time()
    problems(text)
    assert time.process_time() - start < 3


@pytest.mark.parametrize("key", ["password", "api_token", "cookie_secret", "db_url"])
@pytest.mark.parametrize(
    "value",
    [
        "!letmein", "*letmein", "0777letmein\t: x", "&letmein x: y: z", "{letmein: 1, letmein: 2}", "{letmein: yes}",
        "{? [letmein] : 1}", "!!python/letmein x", "letmein: x: y", "'letmein", "%letmein", "@letmein", "`letmein",
        "|letmein", "[letmein", "{!letmein x}", "{1letmein: 010}", '"letmein\\0"', '"\\qletmein"',
    ],
)  # fmt: skip
def test_no_message_repeats_what_may_be_a_secret(key, value):
    for text in (f"{key}: {value}\n", f"a:\n  {key}: {value}\n"):
        assert "letmein" not in "".join(map(str, problems(text)))
    for number in ("012345", "1_2345", "12:34:5", "0x12345", "2045-1-23"):
        assert problems(f"{key}: {number}")
        assert number not in "".join(map(str, problems(f"{key}: {number}")))


def test_the_text_does_not_say_its_data():
    assert "letmein" not in repr(read("a: letmein"))


@given(
    st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass"))
)
@example(b"\xef\xbb\xbf\xef\xbb\xbfa")
@example("a: 1\u2028b: 2".encode())
@example("a: 1\x85\tb: 2".encode())
@example(b"a: \r\tb\r")
def test_any_bytes_are_a_document_or_a_site_error(content):
    check_outcome(content)


_PIECES = [
    *"{}[]:,-?&*!|>'\"%@`#~\n\t \\", ": ", "- ", "\n  ", "\n    ", "a", "b", "<<", "*a", "&a ", "!!", "---\n", "...\n", "no", "010",
    "1:30", ".inf", "1e400", "null", "\\x00", "é", "😀", "\r\n", "%YAML 1.1\n", "? ",
]  # fmt: skip
_YAML_ISH = st.lists(st.sampled_from(_PIECES), max_size=60).map("".join)


@given(_YAML_ISH)
@example("a: &a\n- *a")
@example("? ? ? a")
@example("{a: &b c, *b : d}")
def test_any_yaml_like_text_is_a_document_or_a_site_error(text):
    check_outcome(text.encode())


def check_outcome(content):
    try:
        document = parse_yaml(content, "f.yaml")
    except SiteError as error:
        found = error.problems
    else:
        assert isinstance(document, Document)
        assert_plain(document.data)
        found = document.problems
    lines = re.split("\r\n|[\n\r\x85\u2028\u2029]", content.decode("utf-8", "replace"))
    for problem in found:
        assert 1 <= problem.line <= len(lines) + 1
        assert problem.column >= 1
        assert problem.message


def assert_plain(data):
    if isinstance(data, dict):
        for key, value in data.items():
            assert type(key) is str
            assert_plain(value)
    elif isinstance(data, list):
        for value in data:
            assert_plain(value)
    else:
        assert type(data) in {str, int, float, bool, type(None)}


_SCALARS = st.text(alphabet="0123456789_.:+-eExXobnyaNfI~TZ", min_size=1, max_size=8)


@given(_SCALARS)
@example("1e3")
@example("1.5e+3")
def test_what_a_yaml_1_1_reader_takes_otherwise_is_never_read_in_silence(scalar):
    text = f"a: {scalar}"
    try:
        theirs = yaml.safe_load(text)["a"]
    except (yaml.YAMLError, ValueError, TypeError, AttributeError, KeyError):
        return
    ours = problems(text)
    if ours:
        return
    mine = read(text).data["a"]
    # PyYAML alone takes 1e3 for text; everyone else reads YAML 1.2's number.
    assert mine == theirs or (isinstance(theirs, str) and isinstance(mine, float)), (mine, theirs)
