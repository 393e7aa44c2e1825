"""The page of a review, served on 127.0.0.1 to whoever knows its address.

A request has to name this machine in its Host header, so that no page of another site can reach
the server by a name that it lets point here, and to begin with a path that nobody can guess.
"""

from __future__ import annotations

import json
import logging
import secrets
import sys
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from typing import Any, cast

from cryo_pick.errors import ConfigError, CryoPickError
from cryo_pick.review.session import PictureOf, ReviewSession, Verdict, count_verdicts

log = logging.getLogger(__name__)

LOCAL = "127.0.0.1"
MAX_BODY = 10_000
"""Bytes of a request; a verdict takes fifty."""
STATIC = {
    "": ("review.html", "text/html; charset=utf-8"),
    "review.js": ("review.js", "text/javascript; charset=utf-8"),
    "review.css": ("review.css", "text/css; charset=utf-8"),
}
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self'; connect-src 'self'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class ReviewServer(ThreadingHTTPServer):
    """Serves one session.

    Parameters
    ----------
    session
    thresholds
        By run and by class name; None where nothing is kept.
    picture
        Draws a candidate.
    port
        0: any that is free.

    Raises
    ------
    ConfigError
        If the port is taken.
    """

    daemon_threads = True

    def __init__(
        self,
        session: ReviewSession,
        thresholds: Mapping[str, Mapping[str, float | None]],
        picture: PictureOf,
        port: int = 0,
    ) -> None:
        self.session, self.thresholds, self.picture = session, thresholds, picture
        self.token = secrets.token_urlsafe(24)
        try:
            super().__init__((LOCAL, port), _Handler)
        except (OSError, OverflowError) as error:
            raise ConfigError(f"--port {port}: {error}; choose another, or 0 for any") from error

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing where a browser went on before its picture came."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)

    @property
    def address(self) -> str:
        """Where the page is."""
        return f"http://{LOCAL}:{self.server_port}/{self.token}/"

    def state(self) -> dict[str, Any]:
        """Everything that the page shows but pictures."""
        types = self.session.project.types
        return {
            "user": self.session.user,
            "classes": [
                {"name": t.name, "color": "rgb({} {} {})".format(*t.color[:3])} for t in types
            ],
            "items": [
                {
                    "run": d.run,
                    "proposed": d.proposed,
                    "reason": d.reason,
                    "xyz": [round(v, 1) for v in d.position[::-1].tolist()],
                    "scores": d.scores.round(3).tolist(),
                    "stage1": d.stage1.round(3).tolist(),
                    "stage2": None if d.stage2 is None else d.stage2.round(3).tolist(),
                    "thresholds": [self.thresholds[d.run][t.name] for t in types],
                }
                for d in self.session.doubts
            ],
            **self.progress(),
        }

    def progress(self) -> dict[str, Any]:
        """Verdicts by number, and how many there are of each kind."""
        verdicts = {str(n): v.index for n, v in list(self.session.verdicts.items())}
        return {"verdicts": verdicts, "counts": count_verdicts(self.session)}


class _Handler(BaseHTTPRequestHandler):
    """Answers one request."""

    def do_GET(self) -> None:
        """The page, its parts, the state, and pictures."""
        path = self._path()
        if path is None:
            return
        if path in STATIC:
            name, kind = STATIC[path]
            self._answer(200, (files("cryo_pick.review") / "page" / name).read_bytes(), kind)
        elif path == "state":
            self._json(self._review.state())
        elif path.startswith("picture/") and path[8:].isdecimal():
            self._picture(int(path[8:]))
        else:
            self._refuse(404, "no such page")

    def do_POST(self) -> None:
        """A verdict: ``{"item": 3, "verdict": {"index": 1}}``; null takes it back."""
        path = self._path()
        if path is None:
            return
        if path != "verdict":
            self._refuse(404, "no such page")
            return
        try:
            length = int(self.headers.get("Content-Length") or 0)
            if not 0 < length <= MAX_BODY:
                raise ValueError(f"expected 1 to {MAX_BODY} bytes, but got {length}")
            item, verdict = _verdict(json.loads(self.rfile.read(length)))
            self._review.session.decide(item, verdict)
        except ValueError as error:
            self._refuse(400, str(error))
        except (CryoPickError, OSError) as error:
            log.error("the verdict was not saved: %s", error)
            self._refuse(500, str(error))
        else:
            self._json(self._review.progress())

    def log_message(self, format: str, *args: Any) -> None:
        """Say it in the log, for -v; its own way is to write to stderr."""
        log.debug(format, *args)

    @property
    def _review(self) -> ReviewServer:
        return cast(ReviewServer, self.server)

    def _path(self) -> str | None:
        """The path below the token; None where the request was refused."""
        port = self._review.server_port
        if self.headers.get("Host") not in (f"{LOCAL}:{port}", f"localhost:{port}"):
            self._refuse(403, "this server answers to 127.0.0.1 alone")
            return None
        token, _, path = self.path.partition("?")[0].removeprefix("/").partition("/")
        if not secrets.compare_digest(token.encode(), self._review.token.encode()):
            self._refuse(403, "use the address that cryo-pick review printed")
            return None
        return path

    def _picture(self, number: int) -> None:
        if number >= len(self._review.session.doubts):
            self._refuse(404, "no such candidate")
            return
        try:
            drawn = self._review.picture(number)
        except (CryoPickError, OSError) as error:
            log.error("no picture of candidate %d: %s", number, error)
            self._refuse(500, str(error))
        else:
            self._answer(200, drawn, "image/png")

    def _json(self, content: Mapping[str, Any]) -> None:
        self._answer(200, json.dumps(content, allow_nan=False).encode(), "application/json")

    def _refuse(self, code: int, why: str) -> None:
        self._answer(code, why.encode(), "text/plain; charset=utf-8")

    def _answer(self, code: int, body: bytes, kind: str) -> None:
        self.send_response(code)
        for name, value in {**HEADERS, "Content-Type": kind}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _verdict(content: object) -> tuple[int, Verdict | None]:
    """Number and verdict of a request.

    Raises
    ------
    ValueError
        If it is none.
    """
    if not isinstance(content, dict) or type(content.get("item")) is not int:
        raise ValueError("expected {item: number, verdict: {index: class or null} or null}")
    verdict = content.get("verdict")
    if verdict is None:
        return content["item"], None
    index = verdict.get("index", "none") if isinstance(verdict, dict) else "none"
    if index is not None and type(index) is not int:
        raise ValueError("expected a verdict {index: class or null}")
    return content["item"], Verdict(index)
