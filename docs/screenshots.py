"""Take the pictures of docs/ anew: report, viewer and review of a trained bundle, in Chromium.

python docs/screenshots.py PROJECT BUNDLE PICKS.predict

PROJECT is what PICKS were picked in. Run it from the repository's root; it needs the extra `view`.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from cryo_pick.config import compose  # noqa: E402
from cryo_pick.pipeline.reviewing import open_review  # noqa: E402
from cryo_pick.pipeline.viewing import load_scene  # noqa: E402
from cryo_pick.view.viewer import open_viewer  # noqa: E402
from tests.reference.browser import BROWSER, Page  # noqa: E402

DOCS = ROOT / "docs"


def main() -> None:
    """Write docs/report.png, docs/view.png and docs/review.png."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("project", "bundle", "picks"):
        parser.add_argument(name, type=Path)
    args = parser.parse_args()
    if BROWSER is None:
        parser.error("needs chromium or google-chrome on the PATH; none was found; install one")
    config = compose([f"data.project={args.project}"])
    with tempfile.TemporaryDirectory() as scratch:
        take_report(args.bundle / "report.html", Path(scratch))
        take_view(config, args, Path(scratch))
        take_review(config, args.picks, Path(scratch))
    for name in ("report", "view", "review"):
        shrink(DOCS / f"{name}.png")


def take_report(report: Path, scratch: Path) -> None:
    """The report's first sliders."""
    with Page(scratch / "a", (1180, 900)) as page:
        page.goto(report.resolve().as_uri())
        page.until("document.querySelector('[data-score]').textContent !== ''")
        page.value("document.getElementById('thresholds').scrollIntoView({behavior: 'instant'})")
        time.sleep(1)
        page.picture(DOCS / "report.png")


def take_view(config, args, scratch: Path) -> None:
    """Neuroglancer after its tiles have come."""
    viewer = open_viewer(load_scene(config, args.picks, str(args.project), None, None))
    with Page(scratch / "b", (1200, 780)) as page:
        page.goto(viewer.get_viewer_url())
        time.sleep(15)
        page.picture(DOCS / "view.png")


def take_review(config, picks: Path, scratch: Path) -> None:
    """The page of a review at its fourth candidate."""
    with open_review(config, picks, "screenshot", 60, 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with Page(scratch / "c", (1240, 860)) as page:
            page.goto(server.address)
            page.until("document.body.dataset.item === '0'")
            for number in range(1, 4):
                page.press("ArrowRight")
                page.until(f"document.body.dataset.item === '{number}'")
            page.until("document.getElementById('picture').complete")
            time.sleep(0.5)
            page.picture(DOCS / "review.png")
        server.shutdown()


def shrink(path: Path) -> None:
    """Keep 256 colours, so that the repository stays small."""
    from PIL import Image

    with Image.open(path) as image:
        image.convert("RGB").quantize(256).save(path, optimize=True)
    print(f"{path.relative_to(ROOT)}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
