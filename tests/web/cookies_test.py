"""Who may talk to the server, by headers alone."""

import pytest
from starlette.requests import Request
from starlette.responses import Response

from uav_jax.web.cookies import cookie_name, host_without_port, is_cross_site, set_cookie


def request(scheme, port=7860):
    return Request({"type": "http", "scheme": scheme, "server": ("::1", port), "headers": []})


@pytest.mark.parametrize(
    ("scheme", "name", "secure"),
    [("http", "visitor_7860", False), ("https", "__Host-visitor_7860", True)],
)
def test_the_cookie_has_the_port_and_behind_tls_the_host_in_its_name(scheme, name, secure):
    answer = Response()
    set_cookie(request(scheme), answer, "secret")
    first, *attributes = answer.headers["set-cookie"].split("; ")
    assert first == f"{name}=secret"
    assert ("Secure" in attributes) is secure
    assert {"HttpOnly", "Path=/", "SameSite=strict", "Max-Age=2592000"} <= set(attributes)
    assert not [a for a in attributes if a.startswith("Domain")]  # __Host- allows none


def test_servers_on_two_ports_have_two_cookies():
    assert cookie_name(request("http", 1)) != cookie_name(request("http", 2))


@pytest.mark.parametrize(
    ("headers", "cross"),
    [
        ({}, False),
        ({"origin": "http://localhost:7860"}, False),
        ({"origin": "http://localhost:3000"}, True),
        ({"origin": "null"}, True),
        ({"origin": "https://evil.example"}, True),
        ({"sec-fetch-site": "same-origin"}, False),
        ({"sec-fetch-site": "none"}, False),
        ({"sec-fetch-site": "same-site"}, True),
        ({"sec-fetch-site": "cross-site"}, True),
    ],
)
def test_pages_of_other_sites_and_other_ports_are_told_apart(headers, cross):
    assert is_cross_site({"host": "localhost:7860", **headers}) is cross


@pytest.mark.parametrize(
    ("header", "host"),
    [("a:80", "a"), ("a", "a"), ("[::1]:7860", "::1"), ("[::1]", "::1"), ("", ""), ("[", "")],
)
def test_a_host_may_be_an_ipv6_address(header, host):
    assert host_without_port(header) == host
