"""Products built on nginx: their own columns are read, and nginx' error lines are theirs.

Kong's lines are those of its documentation; APISIX' follow the form in its own defaults.
"""

from __future__ import annotations

import pytest

from whocut.trace.logs.formats import find_format, formats, recognise
from whocut.trace.logs.reading import read_line, told_together
from whocut.trace.logs.records import Account, EndedBy, Unreadable

AT = "[22/Nov/2026:12:06:12 +0000]"
ASKED = "POST /v1/images/generations HTTP/1.1"


def apisix(status: int, tries: str, took: str = "60.001", more: str = "") -> str:
    """A line in APISIX' default form."""
    return (
        f'10.0.0.1 - - {AT} img.example "{ASKED}" {status} 167 {took} "-" "curl/8" {tries} '
        f'"http://img.example/v1/images/generations"{more}'
    )


def kong(status: int, number: str = "712716108691652b90a4ab6f282a2835") -> str:
    """A line in Kong's default form."""
    return f'10.0.0.1 - - {AT} "{ASKED}" {status} 126 "-" "curl/8" kong_request_id: "{number}"'


def read(name: str, line: str) -> Account:
    """What a line given as a product's tells."""
    account = read_line(line.encode(), find_format(name))
    assert account is not None
    return account


ONE = "10.0.0.9:80 {0} 60.000"
LINES = {
    "healthy": (apisix(200, ONE.format(200)), "apisix none 60.001"),
    "its own 504 or another's": (apisix(504, ONE.format(504)), "apisix unsaid 60.001"),
    "two tries": (apisix(502, "10.0.0.9:80, 10.0.0.8:80 502, 502 1.0, 2.0"), "apisix unsaid 60.001"),
    "tries of two groups": (apisix(502, "10.0.0.9:80 : 10.0.0.8:80 502 : 502 1.0 : 2.0"), "apisix unsaid 60.001"),
    "no upstream": (apisix(503, "- - -", "0.000"), "apisix unsaid 0.0"),
    "caller left": (apisix(499, "10.0.0.9:80 - 3.2", "3.200"), "apisix client 3.2"),
    "over IPv6": (apisix(200, "[::1]:80 200 1.0"), "apisix none 60.001"),
    "Kong healthy": (kong(200), "kong none None"),
    "Kong failed": (kong(502), "kong unsaid None"),
    "Kong caller left": (kong(499), "kong client None"),
}  # fmt: skip


@pytest.mark.parametrize("case", LINES)
def test_a_product_s_own_columns_are_read(case: str) -> None:
    """Product, ending and duration; and the line is known for nginx' without being told so."""
    line, says = LINES[case]

    account = read(says.split()[0], line)

    assert f"{account.product} {account.ended_by} {account.duration_s}" == says
    assert account.path == "/v1/images/generations"
    assert account.end_s == 1795349172.0
    found = recognise(line)
    assert found is not None
    assert found[0].name == "nginx"


def test_the_request_s_id_is_read() -> None:
    """Kong's is in its default form, APISIX' where it was put behind it, and a sign for nothing is none."""
    numbers = [
        read("kong", kong(200)).request_id,
        read("apisix", apisix(200, ONE.format(200), more=f' "{"5c" * 16}" "ai_chat" "2858"')).request_id,
        read("apisix", apisix(200, ONE.format(200))).request_id,
        read("kong", kong(200, "-")).request_id,
    ]

    assert numbers == ["712716108691652b90a4ab6f282a2835", "5c" * 16, None, None]


def test_kong_s_error_line_explains_the_line_of_its_id_and_no_other() -> None:
    """Two requests of one caller to one path ended in one second: the id tells which was cut."""
    error = (
        "2026/11/22 12:06:12 [error] 7#0: *9 upstream timed out (110: Connection timed out) while reading response "
        f'header from upstream, client: 10.0.0.1, server: kong, request: "{ASKED}", upstream: "http://10.0.0.9/", '
        f'host: "img.example", request_id: "{"b" * 32}"'
    )

    told = told_together([read("kong", line) for line in (kong(504, "a" * 32), kong(504, "b" * 32), error)])

    assert [one.ended_by for one in told] == [EndedBy.UNSAID, EndedBy.LAYER]
    assert told[1].request_id == "b" * 32


def test_nginx_error_line_explains_apisix_line() -> None:
    """The error log of APISIX is nginx': it tells that the 504 was its own."""
    error = (
        "2026/11/22 12:06:12 [error] 7#0: *9 upstream timed out (110: Connection timed out) while reading response "
        f'header from upstream, client: 10.0.0.1, server: _, request: "{ASKED}", upstream: "http://10.0.0.9:80/"'
    )

    told = told_together([read("apisix", apisix(504, ONE.format(504))), read("apisix", error)])

    assert [(one.ended_by, one.product, one.duration_s) for one in told] == [
        (EndedBy.LAYER, "apisix", 60.001)
    ]


@pytest.mark.parametrize(
    "line",
    [
        apisix(504, ONE.format(504))[:-2],
        apisix(504, "10.0.0.9:80 504"),
        apisix(504, ONE.format(504), "x"),
        apisix(504, ONE.format(504)).replace(" - - [", " me - ["),
    ],
)
def test_a_torn_line_is_refused(line: str) -> None:
    """A column that is missing or of another kind makes it a line of no form that is read."""
    with pytest.raises(Unreadable):
        find_format("apisix").read(line)


@pytest.mark.parametrize("line", [apisix(504, ONE.format(504)), kong(502)])
def test_a_glance_leaves_them_to_the_reader(line: str) -> None:
    """What the glance of nginx does not know it does not settle."""
    glance = formats()["nginx"].glance
    assert glance is not None

    assert glance(line.encode()) is None
