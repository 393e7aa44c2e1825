"""The server answers this machine alone, and only below its token; the page is driven by keys."""

import http.client
import json
import threading

import numpy as np
import pytest

from cryo_pick.cli import main
from cryo_pick.config import compose
from cryo_pick.errors import ConfigError
from cryo_pick.formats.copick import open_project
from cryo_pick.formats.copick_picks import ACCEPTED, REJECTED
from cryo_pick.pipeline.reviewing import open_review
from tests.reference.browser import BROWSER, Page


@pytest.fixture
def server(project, folder):
    config = compose([f"data.project={project.config}"])
    with open_review(config, folder, "reviewer", 10, 0) as opened:
        thread = threading.Thread(target=opened.serve_forever, args=(0.02,))
        thread.start()
        yield opened
        opened.shutdown()
        thread.join()


def ask(server, path, method="GET", body=None, host=None):
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=20)
    headers = {"Host": host or f"127.0.0.1:{server.server_port}"}
    connection.request(method, path, body, headers)
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer.status, content, answer.headers


def test_it_listens_on_this_machine_alone(server):
    assert server.server_address[0] == "127.0.0.1"


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1", "127.0.0.1:1"])
def test_a_foreign_name_is_refused(server, host):
    status, content, _ = ask(server, f"/{server.token}/state", host=host)
    assert status == 403
    assert b"127.0.0.1" in content
    verdict = json.dumps({"item": 0, "verdict": {"index": 0}})
    assert ask(server, f"/{server.token}/verdict", "POST", verdict, host)[0] == 403
    assert server.session.verdicts == {}


@pytest.mark.parametrize("path", ["/", "/state", "/wrong/state", "/wrong/verdict"])
def test_without_the_token_there_is_nothing(server, path):
    assert ask(server, path)[0] == 403
    assert ask(server, path, "POST", "{}")[0] == 403


def test_the_page_loads_nothing_from_elsewhere(server):
    for name in ("", "review.js", "review.css"):
        status, content, headers = ask(server, f"/{server.token}/{name}")
        assert status == 200
        assert b"http:" not in content.replace(b"http://www.w3.org/2000/svg", b"")
        assert "default-src 'none'" in headers["Content-Security-Policy"]


def test_a_picture_is_a_png_of_three_slices(server):
    status, content, _ = ask(server, f"/{server.token}/picture/0")
    assert (status, content[:4]) == (200, b"\x89PNG")
    width, height = (int.from_bytes(content[i : i + 4]) for i in (16, 20))
    assert width == 3 * height + 2


@pytest.mark.parametrize("path", ["picture/99", "picture/x", "picture/-1", "../pyproject.toml"])
def test_what_is_not_there(server, path):
    assert ask(server, f"/{server.token}/{path}")[0] == 404


@pytest.mark.parametrize(
    "body",
    ["", "{", "[]", '{"item": "0"}', '{"item": 99, "verdict": null}',
     '{"item": 0, "verdict": {"index": "a"}}', '{"item": 0, "verdict": {}}', "x" * 20_000],
)  # fmt: skip
def test_a_request_that_is_no_verdict_is_refused(server, body):
    assert ask(server, f"/{server.token}/verdict", "POST", body)[0] == 400
    assert server.session.verdicts == {}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--user", "cryo-pick"], "own name"),
        (["--user", "a_b"], "can't be used"),
        (["--limit", "0"], "--limit 0"),
        (["--port", "99999"], "--port 99999"),
    ],
)
def test_bad_flags(project, folder, capsys, words, message):
    command = ["review", str(project.config), "--candidates", str(folder), *words]
    assert main(command) == 2
    assert message in capsys.readouterr().err


def test_no_candidates(project, tmp_path, capsys):
    assert main(["review", str(project.config), "--candidates", str(tmp_path)]) == 3
    assert "no candidates here" in capsys.readouterr().err


def test_a_taken_port(project, folder, server):
    config = compose([f"data.project={project.config}"])
    with pytest.raises(ConfigError, match=str(server.server_port)):
        open_review(config, folder, "reviewer", 10, server.server_port)


@pytest.mark.skipif(BROWSER is None, reason="no Chromium or Chrome on this machine")
def test_keys_judge_candidates(server, project, tmp_path):
    pytest.importorskip("tornado")
    items = server.state()["items"]
    assert len(items) == 3
    with Page(tmp_path / "profile") as page:
        page.goto(server.address)
        page.until("document.body.dataset.item === '0'")
        page.until("document.getElementById('picture').naturalWidth > 0")
        assert items[0]["run"] in page.value("document.body.innerText")
        other = 1 - items[1]["proposed"]
        for number, key in enumerate(["a", str(other + 1), "r"]):
            page.press(key)
            page.until(f"document.body.dataset.left === '{2 - number}'")
        assert "1 accepted, 1 relabelled, 1 rejected, 0 left" in page.value(
            "document.getElementById('counts').textContent"
        )
        accepted = open_project(project.config).read_picks("TS_1", "reviewer", ACCEPTED)
        rejected = open_project(project.config).read_picks("TS_1", "reviewer", REJECTED)
        doubts = server.session.doubts
        assert sorted(accepted.classes.tolist()) == sorted([items[0]["proposed"], other])
        np.testing.assert_allclose(
            sorted(accepted.positions.tolist()),
            sorted(d.position.tolist() for d in doubts[:2]),
            atol=1e-3,
        )
        np.testing.assert_allclose(
            sorted(rejected.positions.tolist()),
            sorted(d.position.tolist() for d in doubts[1:]),
            atol=1e-3,
        )
        page.press("ArrowLeft")
        page.press("u")
        page.until("document.body.dataset.left === '1'")
        assert page.messages == []
    assert len(server.session.verdicts) == 2
