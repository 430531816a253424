"""A server gets its own cookies and no other, however a browser sends them, and sets none but its own."""

import hashlib
import random
import re

import psutil
import pytest

from tests.gate.test_access import SERVER, header, status, upgrade


def mark_of(prefix: str) -> str:
    return f"xh-{hashlib.sha256(prefix.encode()).hexdigest()[:8]}-"


ALICE, BOB, SERVICE = (
    mark_of(prefix) for prefix in ("/jupyterhub/user/alice", "/jupyterhub/user/bob", "/jupyterhub/services/s")
)
SECRET = "5ECRET"


def cookies_seen(server) -> list[str]:
    lines = [line for line in server.raw.decode("latin-1").split("\r\n") if line.lower().startswith("cookie")]
    return [pair for line in lines for pair in line.split(": ", 1)[1].split("; ")]


def both_ways(proxy, *cookie_lines: str, path: str = SERVER) -> None:
    """Send the same cookies with a request and with a websocket's."""
    proxy.get(path, *cookie_lines)
    proxy.send(upgrade(path, *cookie_lines), wait=0.2)


FOREIGN = {
    "XNAT's": f"JSESSIONID={SECRET}",
    "in lower case": f"jsessionid={SECRET}",
    "in odd case": f"JSessionId={SECRET}",
    "quoted": f'JSESSIONID="{SECRET}"',
    "doubled": f"JSESSIONID={SECRET}; JSESSIONID={SECRET}2",
    "with spaces": f"  JSESSIONID = {SECRET} ",
    "without a space": f"a=b;JSESSIONID={SECRET};c=d",
    "after a tab": f"a=b;\tJSESSIONID={SECRET}",
    "after a comma": f"a=b, JSESSIONID={SECRET}",
    "with no name": SECRET,
    "with an empty name": f"={SECRET}",
    "the hub's": f"jupyterhub-hub-login={SECRET}; jupyterhub-session-id={SECRET}; _xsrf={SECRET}",
    "another server's": f"jupyterhub-user-bob={SECRET}; {BOB}jupyterhub-user-bob={SECRET}",
    "a service's": f"{SERVICE}a={SECRET}",
    "with its own mark in other case": f"{ALICE.upper()}a={SECRET}",
    "with its own mark and no name": f"{ALICE}={SECRET}",
    "with its own mark after a letter": f"x{ALICE}a={SECRET}",
    "the copy for scripts": f"_xsrf={SECRET}",
    "with a version": f"$Version=1; JSESSIONID={SECRET}; $Path=/",
    "in a quoted value of its own": f'{ALICE}a="x; JSESSIONID={SECRET}; y"',
    "behind a backslash": f'{ALICE}a="x\\"; JSESSIONID={SECRET}',
    "a remember-me": f"SPRING_SECURITY_REMEMBER_ME_COOKIE={SECRET}; XSRF-TOKEN={SECRET}",
    "prefixed": f"__Host-JSESSIONID={SECRET}; __Secure-x={SECRET}",
    "latin": f"\xe4={SECRET}",
}


@pytest.mark.parametrize("name", FOREIGN)
@pytest.mark.parametrize("lines", [1, 2, 3])
def test_no_server_gets_a_cookie_that_is_not_its_own(proxy, name, lines):
    own = f"xnathub-gate={proxy.pass_for('alice')}"
    # The pass is bound to no session here: what is asked of the hub is tested elsewhere.
    proxy.hub.say = (200, proxy.pass_for("alice"))
    pieces = FOREIGN[name].split("; ") if lines == 3 else [FOREIGN[name]]
    sent = {
        1: [f"Cookie: {own}; {ALICE}mine=1; {FOREIGN[name]}"],
        2: [f"cookie: {FOREIGN[name]}", f"COOKIE: {own}; {ALICE}mine=1"],
        3: [
            f"Cookie: {own}",
            *(f"Cookie: {each}" for each in pieces),
            f"Cookie: {ALICE}mine=1",
            f"Cookie2: {SECRET}",
        ],
    }[lines]
    both_ways(proxy, *sent)
    raw = proxy.servers["alice"].raw
    if raw:  # A session that the hub does not know goes no further at all.
        assert SECRET.encode() not in raw
        assert b"xnathub-gate" not in raw
        assert b"mine=1" in raw
    assert SECRET.encode() not in proxy.servers["bob"].raw + proxy.service.raw


def test_a_session_of_xnat_does_not_go_on_where_it_is_known(proxy):
    cookie = f"Cookie: JSESSIONID={SECRET}; xnathub-gate={proxy.pass_for('alice', session=SECRET)}"
    both_ways(proxy, cookie)
    assert len(proxy.servers["alice"].requests) == 2
    assert not cookies_seen(proxy.servers["alice"])
    assert SECRET.encode() not in proxy.servers["alice"].raw


def test_a_service_gets_its_own_cookies_only(proxy):
    path = "/jupyterhub/services/s/x"
    both_ways(proxy, f"Cookie: JSESSIONID={SECRET}; {SERVICE}a=1; {ALICE}b={SECRET}", path=path)
    assert cookies_seen(proxy.service) == ["a=1", "a=1"]


def test_the_hub_gets_the_cookies_it_signs_in_by(proxy):
    proxy.get("/jupyterhub/hub/home", "Cookie: JSESSIONID=1; jupyterhub-hub-login=2; _xsrf=3")
    assert cookies_seen(proxy.hub) == ["JSESSIONID=1", "jupyterhub-hub-login=2", "_xsrf=3"]


EQUALS = ["=", " = ", '="']
ENDS = ["", '"', ",", "==", "%3B", " "]


def test_two_hundred_random_jars(proxy):
    chance = random.Random(13)
    names = [
        "JSESSIONID",
        "jupyterhub-hub-login",
        "_xsrf",
        f"{BOB}a",
        f"{SERVICE}b",
        "xnathub-token",
        "x y",
        "\xfc",
    ]
    for number in range(200):
        own = {f"n{i}": f"v{number}-{i}" for i in range(chance.randrange(4))}
        pairs = [f"{ALICE}{name}={value}" for name, value in own.items()]
        pairs += [
            chance.choice(names[1:]) + chance.choice(EQUALS) + SECRET + chance.choice(ENDS)
            for _ in range(chance.randrange(8))
        ]
        pairs.append(f"xnathub-gate={proxy.pass_for('alice')}")
        chance.shuffle(pairs)
        lines: list[str] = []
        while pairs:
            count = chance.randrange(1, 4)
            lines.append(
                f"{chance.choice(['Cookie', 'cookie', 'COOKIE'])}: {chance.choice(['; ', ';', ' ;  ']).join(pairs[:count])}"
            )
            pairs = pairs[count:]
        proxy.servers["alice"].forget()
        assert status(proxy.get(SERVER, *lines)) == 200, lines
        assert SECRET.encode() not in proxy.servers["alice"].raw, lines
        assert sorted(cookies_seen(proxy.servers["alice"])) == sorted(f"{k}={v}" for k, v in own.items()), (
            lines
        )


def answer_with(proxy, *lines: str, path: str = SERVER) -> list[str]:
    proxy.servers["alice"].answers[path.encode()] = list(lines)
    return header(proxy.get(path, f"Cookie: xnathub-gate={proxy.pass_for('alice')}"), "Set-Cookie")


SET = {
    "a=1; HttpOnly": [f"{ALICE}a=1; Path=/jupyterhub/user/alice/; HttpOnly"],
    "_xsrf=1; Path=/jupyterhub/user/alice/": [
        f"{ALICE}_xsrf=1; Path=/jupyterhub/user/alice/",
        "_xsrf=1; Path=/jupyterhub/user/alice/",
    ],
    "JSESSIONID=evil; Path=/; Domain=example.org": [f"{ALICE}JSESSIONID=evil; Path=/jupyterhub/user/alice/"],
    "jsessionid=evil; Path=/": [f"{ALICE}jsessionid=evil; Path=/jupyterhub/user/alice/"],
    "xnathub-gate=evil; Path=/": [f"{ALICE}xnathub-gate=evil; Path=/jupyterhub/user/alice/"],
    "jupyterhub-hub-login=evil; Path=/jupyterhub/hub/": [
        f"{ALICE}jupyterhub-hub-login=evil; Path=/jupyterhub/user/alice/"
    ],
    f"{BOB}x=evil; Path=/jupyterhub/user/bob/": [f"{ALICE}{BOB}x=evil; Path=/jupyterhub/user/alice/"],
    "__Host-a=1; Secure; Path=/": [f"{ALICE}__Host-a=1; Path=/jupyterhub/user/alice/; Secure"],
    "a=; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT; HttpOnly; SameSite=Strict": [
        f"{ALICE}a=; Path=/jupyterhub/user/alice/; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT; HttpOnly; SameSite=Strict"
    ],
    "a=1; pAtH=/; DOMAIN=x; httponly; Path=/other": [f"{ALICE}a=1; Path=/jupyterhub/user/alice/; httponly"],
    "=nameless": [],
    "nameless": [],
    "": [],
}


@pytest.mark.parametrize("line", SET)
def test_what_a_server_may_set(proxy, line):
    assert answer_with(proxy, f"Set-Cookie: {line}") == SET[line]


def test_a_websocket_s_answer_sets_none_but_its_own_cookies(proxy):
    proxy.servers["alice"].answers[SERVER.encode()] = ["Set-Cookie: JSESSIONID=evil; Path=/"]
    answer = proxy.send(upgrade(SERVER, f"Cookie: xnathub-gate={proxy.pass_for('alice')}"), wait=0.2)
    assert status(answer) == 101
    assert header(answer, "Set-Cookie") == [f"{ALICE}JSESSIONID=evil; Path=/jupyterhub/user/alice/"]


def test_a_cookie_s_path_is_spelled_as_the_browser_spells_it(proxy):
    path = "/jupyterhub/user/%61lice/lab"
    assert answer_with(proxy, "Set-Cookie: a=1; HttpOnly", path=path) == [
        f"{ALICE}a=1; Path=/jupyterhub/user/%61lice/; HttpOnly"
    ]


def test_a_cookie_comes_back_as_it_was_set(proxy):
    [own, _] = answer_with(proxy, 'Set-Cookie: a="b=c|d"; Path=/')
    proxy.servers["alice"].forget()
    proxy.get(SERVER, f"Cookie: xnathub-gate={proxy.pass_for('alice')}; {own.split(';')[0]}")
    assert cookies_seen(proxy.servers["alice"]) == ['a="b=c|d"']


BEYOND = [
    "Service-Worker-Allowed: /",
    'Clear-Site-Data: "*"',
    "Strict-Transport-Security: max-age=0",
    'Alt-Svc: h2="evil:443"',
    "NEL: {}",
    "Report-To: {}",
    "Reporting-Endpoints: a='https://evil'",
    "Set-Cookie2: JSESSIONID=evil",
    "Public-Key-Pins: x",
    "X-Accel-Redirect: /data/users",
    "X-Accel-Expires: 3600",
    "X-Accel-Anything-Else: 1",
    "X-Sendfile: /etc/passwd",
    "X-LIGHTTPD-send-file: /etc/passwd",
    "X-LiteSpeed-Location: /data/users",
    "X-LiteSpeed-Purge: *",
    "X-Reproxy-URL: http://localhost:8080/data/users",
    "Surrogate-Control: max-age=3600",
    "CDN-Cache-Control: max-age=3600",
    'Use-As-Dictionary: match="/*"',
    'Secure-Session-Registration: (ES256);path="register"',
    "Set-Login: logged-out",
    "Accept-CH: Sec-CH-UA-Full-Version-List",
]
STAYS = ["X-Own: stays", "Content-Security-Policy: sandbox", "X-Accel-Buffering: no", "Refresh: 5; url=/next"]


@pytest.mark.parametrize("path", [SERVER, "/jupyterhub/services/s/x"])
@pytest.mark.parametrize("websocket", [False, True])
def test_headers_that_reach_beyond_the_answer_are_taken_out(proxy, path, websocket):
    server = proxy.servers["alice"] if path == SERVER else proxy.service
    server.answers[path.encode()] = BEYOND + STAYS
    cookie = f"Cookie: xnathub-gate={proxy.pass_for('alice')}"
    answer = proxy.send(upgrade(path, cookie), wait=0.2) if websocket else proxy.get(path, cookie)
    names = {line.split(":")[0].lower() for line in answer.decode().split("\r\n")}
    assert not names.intersection(line.split(":")[0].lower() for line in BEYOND)
    assert names.issuperset(line.split(":")[0].lower() for line in STAYS)


@pytest.mark.parametrize("websocket", [False, True])
def test_a_server_has_nothing_taken_out_of_its_answers_on_the_way(proxy, websocket):
    """Caddy and Traefik take out what `Connection` names: the pass's cookie, and what keeps an answer out of shared caches."""
    says = ["Connection: set-cookie, cache-control, x-own", "Keep-Alive: timeout=99999"]
    proxy.servers["alice"].answers[SERVER.encode()] = says
    cookie = f"Cookie: xnathub-gate={proxy.pass_for('alice')}"
    answer = proxy.send(upgrade(SERVER, cookie), wait=0.2) if websocket else proxy.get(SERVER, cookie)
    assert header(answer, "Connection") == (["Upgrade"] if websocket else ["close"])
    assert not header(answer, "Keep-Alive")


@pytest.mark.parametrize(
    ("said", "stands"),
    [
        ([], "private"),
        (["Cache-Control: no-store"], "private, no-store"),
        (["Cache-Control: public, max-age=31536000, s-maxage=5, immutable"], "private, max-age=31536000, immutable"),
        (["Cache-Control: PUBLIC", "Cache-Control: max-age=1,s-maxage=9"], "private, max-age=1"),
        (['Cache-Control: private="Set-Cookie", max-age=60'], "private, max-age=60"),
    ],
    ids=str,
)  # fmt: skip
def test_no_shared_cache_keeps_what_a_server_answers(proxy, said, stands):
    proxy.servers["alice"].answers[SERVER.encode()] = said
    answer = proxy.get(SERVER, f"Cookie: xnathub-gate={proxy.pass_for('alice')}")
    assert header(answer, "Cache-Control") == [stands]
    proxy.servers["alice"].forget()
    assert header(proxy.get(SERVER, "Authorization: token abc"), "Cache-Control") == [stands]


def test_without_the_gate_every_cookie_arrives(plain_proxy):
    """What the tests above would find on the proxy as it comes."""
    plain_proxy.get(SERVER, f"Cookie: JSESSIONID={SECRET}")
    assert re.search(rb"cookie: JSESSIONID=5ECRET", plain_proxy.servers["alice"].raw)


def test_blanks_within_a_cookie_keep_nobody_waiting(proxy):
    """Looking for those at its ends took a tenth of a second for each request of anybody's, by a pattern that began anew at each blank."""
    process = psutil.Process(proxy.process.pid)
    before = sum(process.cpu_times()[:2])
    for number in range(30):
        line = f"Cookie: a{number}=x{' ' * 12_000}b"
        assert status(proxy.get(SERVER, line)) == 403
    assert sum(process.cpu_times()[:2]) - before < 1
