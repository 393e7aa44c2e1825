"""What the commands that serve a page share: say where it is, and wait."""

from __future__ import annotations

import logging
import threading
import webbrowser

log = logging.getLogger(__name__)


def wait_for_interrupt(address: str, what: str, open_browser: bool) -> int:
    """Print an address to stdout, open it if asked to, and wait for Ctrl-C; exit code 0."""
    print(address, flush=True)
    log.info("%s; Ctrl-C ends it. Whoever has this address can see the data", what)
    if open_browser:
        webbrowser.open(address)
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        log.info("ended")
    return 0
