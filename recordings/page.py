"""Draw page.png, the README's picture of the caption page. Usage: python -m recordings.page

`asr live --web` captions sample.flac; Chromium takes a picture in the middle of the fifth utterance (tests/browser.py says what it needs).
"""

import re
import subprocess
import sys
from pathlib import Path

from tests.browser import chromium, until

HERE = Path(__file__).parent
COMMAND = [sys.executable, "-m", "asr", "live", "--web", "--port", "0", "--input", "recordings/sample.flac"]
READY = ("return document.querySelectorAll('#lines p').length === 4 && document.querySelector('#partial .open').textContent.length > 8"
         " && document.getElementById('notice').hidden")


def main() -> None:
    """Run, look, stop."""
    with subprocess.Popen(COMMAND, cwd=HERE.parent, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as program, \
            chromium() as browser:
        while not (found := re.match("captions at (.*)", program.stderr.readline())):
            pass                     # until it is ready
        size = {"width": 1280, "height": 640, "deviceScaleFactor": 1, "mobile": False}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        browser.get(f"{found[1]}?theme=dark&times=1&size=28")
        until(lambda: browser.execute_script(READY), limit_s=60)
        browser.save_screenshot(str(HERE / "page.png"))
        program.terminate()


if __name__ == "__main__":
    main()
