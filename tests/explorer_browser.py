"""A headless Chromium driven over its own debugging pipe: no driver, no port, no package.

The commands are those of the Chrome DevTools Protocol.
"""

import base64
import contextlib
import json
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)
FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--disable-default-apps", "--no-first-run", "--no-default-browser-check", "--disable-dev-shm-usage",
    "--hide-scrollbars", "--force-device-scale-factor=1", "--remote-debugging-pipe",
)  # fmt: skip
KEYS = {"ArrowUp": 38, "ArrowDown": 40, "ArrowLeft": 37, "ArrowRight": 39, "Enter": 13, "Tab": 9, "Escape": 27}


class Browser:
    """One browser with one page. ``requests`` are the addresses that the page asked for, ``problems`` what went wrong in it."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="ncp-browser-")
        to_read, self.to = os.pipe()
        self.back, to_write = os.pipe()

        def connect():
            # the browser reads commands from descriptor 3 and writes answers to 4
            first, second = os.dup(to_read), os.dup(to_write)
            os.dup2(first, 3)
            os.dup2(second, 4)

        self.process = subprocess.Popen(
            [CHROMIUM, *FLAGS, f"--user-data-dir={self.folder}", "about:blank"],
            close_fds=False, preexec_fn=connect, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        os.close(to_read)
        os.close(to_write)
        self.count, self.rest, self.session = 0, b"", None
        self.requests, self.problems, self.events = [], [], []
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.send(f"{domain}.enable")

    def send(self, method, **params):
        """The answer to one command; events that come before it are noted."""
        self.count += 1
        message = {"id": self.count, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.to, json.dumps(message).encode() + b"\0")
        while True:
            answer = self.receive()
            if answer.get("id") == self.count:
                assert "error" not in answer, answer["error"]
                return answer["result"]
            self.note(answer)

    def receive(self):
        while b"\0" not in self.rest:
            read = os.read(self.back, 1 << 20)
            assert read, "the browser has ended"
            self.rest += read
        line, _, self.rest = self.rest.partition(b"\0")
        return json.loads(line)

    def note(self, event):
        params = event.get("params", {})
        if event.get("method") == "Tracing.dataCollected":
            self.events += params["value"]
        elif event.get("method") == "Tracing.tracingComplete":
            self.complete = True
        elif event.get("method") == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        elif event.get("method") == "Runtime.exceptionThrown":
            self.problems.append(params["exceptionDetails"].get("exception", {}).get("description", "exception"))
        elif event.get("method") == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            self.problems.append(params["entry"]["text"])

    def trace(self, categories):
        """Begin to record what the browser does."""
        self.events = []
        self.send(
            "Tracing.start", transferMode="ReportEvents", traceConfig={"includedCategories": categories.split(",")}
        )

    def traced(self):
        """All that was recorded since."""
        self.complete = False
        self.send("Tracing.end")
        while not self.complete:
            self.note(self.receive())
        return self.events

    def open(self, address, width=1440, height=1000, dark=False, mobile=False):
        """Go to a file or an address, in a window of a size."""
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=mobile)
        features = [
            {"name": "prefers-color-scheme", "value": "dark" if dark else "light"},
            {"name": "prefers-reduced-motion", "value": "no-preference"},
        ]
        self.send("Emulation.setEmulatedMedia", features=features)
        self.send("Page.navigate", url="about:blank")
        self.send("Page.navigate", url=address)

    def ask(self, script):
        """What a script says, as JSON; promises are waited for."""
        answer = self.send("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait(self, script, seconds=60):
        """Until a script says something true; returns that."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            with contextlib.suppress(AssertionError):
                if value := self.ask(script):
                    return value
            time.sleep(0.05)
        raise AssertionError(f"waited {seconds} s in vain for: {script}; {self.problems}")

    def box(self, selector):
        """Middle and size of an element in the window, after it was brought into view."""
        return self.ask(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)}); e.scrollIntoView({{block: 'center'}});"
            "const b = e.getBoundingClientRect(); return [b.x + b.width / 2, b.y + b.height / 2, b.width, b.height]; })()"
        )

    def mouse(self, kind, x, y):
        button = {"mousePressed": 1, "mouseReleased": 0}.get(kind, 0)
        self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", buttons=button, clickCount=1)

    def click(self, selector):
        x, y, *_ = self.box(selector)
        for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
            self.mouse(kind, x, y)

    def key(self, key):
        code = KEYS.get(key, ord(key.upper()[0]))
        text = {"Enter": "\r"}.get(key, key if len(key) == 1 else "")
        for kind in ("keyDown", "keyUp"):
            self.send(
                "Input.dispatchKeyEvent",
                type=kind,
                key=key,
                windowsVirtualKeyCode=code,
                text=text if kind == "keyDown" else "",
            )

    def picture(self, path, whole=False):
        """Write a PNG of the window, or of the whole page."""
        data = self.send("Page.captureScreenshot", format="png", captureBeyondViewport=whole)["data"]
        Path(path).write_bytes(base64.b64decode(data))

    def close(self):
        with contextlib.suppress(OSError, AssertionError):
            self.session = None
            self.send("Browser.close")
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        os.close(self.to)
        os.close(self.back)
        shutil.rmtree(self.folder, ignore_errors=True)
