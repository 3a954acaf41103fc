"""What every page is watched for is noticed: an error on the console, a failure, another host, an answer that is none."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from walk import eventually

pytestmark = pytest.mark.proof

DO_WRONG = """() => {
    console.error("wrong on purpose");
    setTimeout(() => { throw new Error("thrown on purpose"); });
    document.body.append(Object.assign(new Image(), { src: "http://example.com/x.png" }));
    fetch("ddpm/nothing-is-here");
}"""


def test_what_a_page_must_not_do_is_noticed(open_page: Callable) -> None:
    watched = open_page()
    watched.page.route("http://example.com/**", lambda route: route.fulfill(body=""))
    watched.page.evaluate(DO_WRONG)
    expected = ("console: wrong on purpose", "page: thrown on purpose", "host: http://example.com/x.png", "404: ")

    def noticed() -> bool:
        watched.page.evaluate("0")  # what the browser has said meanwhile is heard
        return all(any(said.startswith(start) for said in watched.complaints) for start in expected)

    eventually(noticed, lambda: str(watched.complaints), seconds=20)
    watched.page.close()  # what the browser adds to each is not waited for
    watched.complaints.clear()
