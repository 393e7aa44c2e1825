"""Headless Chromium, driven by its DevTools protocol: look at a page, press keys, take a picture.

The protocol is JSON over a WebSocket (https://chromedevtools.github.io/devtools-protocol/).
"""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any
from urllib.request import urlopen

BROWSER = next(
    (b for n in ("chromium", "chromium-browser", "google-chrome") if (b := shutil.which(n))), None
)


class Page:
    """One tab; use it as a context manager.

    Parameters
    ----------
    profile
        Folder of the browser's own files.
    size
        Of the window, pixels.
    """

    def __init__(self, profile: Path, size: tuple[int, int] = (1280, 800)) -> None:
        self._profile, self._size = profile, size
        self._ids = itertools.count(1)
        self.messages: list[str] = []

    def __enter__(self) -> Page:
        from tornado.websocket import websocket_connect

        assert BROWSER is not None
        self._process = subprocess.Popen(
            [
                BROWSER, "--headless=new", "--no-sandbox", "--remote-debugging-port=0",
                "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--disable-quic",
                "--no-first-run", "--disable-background-networking", "--disable-sync",
                "--disable-component-update", "--hide-scrollbars", "--disable-dev-shm-usage",
                "--remote-allow-origins=*", f"--user-data-dir={self._profile}",
                "--window-size={},{}".format(*self._size), "about:blank",
            ],
            stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        self._loop = asyncio.new_event_loop()
        port = self._wait_for_port()
        with urlopen(f"http://127.0.0.1:{port}/json/list", timeout=20) as answer:
            tab = next(t for t in json.load(answer) if t["type"] == "page")

        async def connect() -> Any:
            return await websocket_connect(tab["webSocketDebuggerUrl"], max_message_size=2**28)

        self._socket = self._loop.run_until_complete(connect())
        width, height = self._size
        self.call("Page.enable")
        self.call("Runtime.enable")
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=False,
        )  # fmt: skip
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.call("Browser.close")
        except (OSError, RuntimeError, TimeoutError):
            self._process.kill()
        self._process.wait(20)
        self._socket.close()
        self._loop.run_until_complete(asyncio.sleep(0.05))
        self._loop.close()

    def _wait_for_port(self) -> str:
        file = self._profile / "DevToolsActivePort"
        for _ in range(600):
            if file.is_file() and (text := file.read_text().split()):
                return text[0]
            time.sleep(0.05)
        raise RuntimeError("the browser did not start")

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Result of one command of the protocol."""
        number = next(self._ids)

        async def ask() -> dict[str, Any]:
            await self._socket.write_message(
                json.dumps({"id": number, "method": method, "params": params})
            )
            while True:
                text = await asyncio.wait_for(self._socket.read_message(), 60)
                if text is None:
                    raise RuntimeError("the browser has gone")
                answer = json.loads(text)
                if answer.get("method") == "Runtime.exceptionThrown":
                    self.messages.append(json.dumps(answer["params"])[:500])
                if answer.get("id") == number:
                    return answer

        answer = self._loop.run_until_complete(ask())
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        return answer["result"]

    def goto(self, address: str) -> None:
        """Open an address and wait until it is loaded."""
        self.call("Page.navigate", url=address)
        self.until("document.readyState === 'complete' && location.href !== 'about:blank'")

    def value(self, script: str) -> Any:
        """What an expression of JavaScript gives; a promise is waited for."""
        answer = self.call(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        if "exceptionDetails" in answer:
            raise RuntimeError(f"{script}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def until(self, script: str, seconds: float = 30) -> Any:
        """Wait until an expression is true; its value."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if found := self.value(script):
                return found
            time.sleep(0.05)
        raise TimeoutError(f"never true: {script}; {self.messages}")

    def press(self, key: str) -> None:
        """Press and release a key of the keyboard."""
        text = {"text": key} if len(key) == 1 else {}
        self.call("Input.dispatchKeyEvent", type="keyDown", key=key, **text)
        self.call("Input.dispatchKeyEvent", type="keyUp", key=key)

    def picture(self, path: Path) -> None:
        """Write a PNG of what is seen."""
        shot = self.call("Page.captureScreenshot", format="png")
        path.write_bytes(base64.b64decode(shot["data"]))
