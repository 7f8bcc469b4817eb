"""Chromium without a window, spoken to over two pipes (--remote-debugging-pipe); each page is one tab."""

import base64
import json
import os
import shutil
import subprocess
import time

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
KEY_CODES = {"Tab": 9, "Enter": 13, "Escape": 27, "ArrowUp": 38, "ArrowDown": 40}
PROBLEMS = ("Runtime.exceptionThrown", "Log.entryAdded", "Runtime.consoleAPICalled")


class Browser:
    def __init__(self, profile):
        theirs_in, self.out = os.pipe()
        self.into, theirs_out = os.pipe()
        keep = lambda: (os.dup2(theirs_in, 13), os.dup2(theirs_out, 14), os.dup2(13, 3), os.dup2(14, 4))  # noqa: E731
        line = [CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe",
                "--disable-dev-shm-usage", "--disable-background-networking", "--disable-component-update",
                "--disable-sync", "--no-first-run", "--disable-backgrounding-occluded-windows",
                "--disable-renderer-backgrounding", "--disable-background-timer-throttling",
                f"--user-data-dir={profile}", "about:blank"]  # fmt: skip
        self.process = subprocess.Popen(line, preexec_fn=keep, close_fds=False, stderr=subprocess.DEVNULL)
        self.number, self.rest, self.problems = 0, b"", []

    def call(self, method, session=None, **params):
        self.number += 1
        sent = {"id": self.number, "method": method, "params": params}
        sent |= {"sessionId": session} if session else {}
        os.write(self.out, json.dumps(sent).encode() + b"\0")
        while True:
            while b"\0" not in self.rest:
                self.rest += os.read(self.into, 65536)
            message, _, self.rest = self.rest.partition(b"\0")
            said = json.loads(message)
            if said.get("method") in PROBLEMS:
                self._hear(said)
            if said.get("id") == self.number:
                assert "result" in said, said
                return said["result"]

    def _hear(self, said):
        """What a console would show in red."""
        params = said["params"]
        entry = params.get("entry", params)
        if entry.get("level") == "error" or entry.get("type") == "error" or "exceptionDetails" in params:
            self.problems.append(json.dumps(params)[:1000])

    def open(self, address, width=1280, height=900):
        target = self.call("Target.createTarget", url="about:blank", newWindow=True)["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        page = Page(self, target, session)
        page.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        for domain in ("Runtime", "Log", "Page", "DOM"):
            page.call(f"{domain}.enable")
        page.call("Page.navigate", url=address)
        return page

    def close(self):
        self.process.kill()
        self.process.wait()
        os.close(self.out)
        os.close(self.into)


class Page:
    """A tab. Elements are found by their data-testid."""

    def __init__(self, browser, target, session):
        self.browser, self.target, self.session = browser, target, session

    def close(self):
        self.browser.call("Target.closeTarget", targetId=self.target)

    def call(self, method, **params):
        return self.browser.call(method, self.session, **params)

    def evaluated(self, script):
        return self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True, userGesture=True)

    def value(self, script):
        said = self.evaluated(script)
        assert "exceptionDetails" not in said, (script, said["exceptionDetails"])
        return said["result"].get("value")

    def until(self, script, wanted=True, seconds=60):
        """Waits for a value, or for one that a function accepts; answers it. A page that is not there yet may throw."""
        end = time.monotonic() + seconds
        accepts = wanted if callable(wanted) else lambda found: found == wanted
        while True:
            said = self.evaluated(script)
            found = said["result"].get("value")
            if "exceptionDetails" not in said and accepts(found):
                return found
            assert time.monotonic() < end, (script, said, self.browser.problems)
            time.sleep(0.05)

    def text(self, testid):
        return self.value(f"document.querySelector('[data-testid={testid}]')?.textContent ?? null")

    def has(self, testid):
        return self.value(f"document.querySelector('[data-testid={testid}]') !== null")

    def until_there(self, testid, seconds=60):
        self.until(f"document.querySelector('[data-testid={testid}]') !== null", seconds=seconds)

    def click(self, testid):
        self.press(f"document.querySelector('[data-testid={testid}]')")

    def press(self, element):
        """Clicks what a script finds, as soon as it is there."""
        self.until(f"{element} instanceof Element")
        self.value(f"{element}.click()")

    def choose(self, testid, file):
        """As the file dialog does."""
        self.until_there(testid)
        root = self.call("DOM.getDocument")["root"]["nodeId"]
        node = self.call("DOM.querySelector", nodeId=root, selector=f"[data-testid={testid}]")["nodeId"]
        self.call("DOM.setFileInputFiles", nodeId=node, files=[str(file)])

    def drop(self, testid, file, kind):
        """A real drop of a file's content on an element."""
        self.until_there(testid)
        names = '["dragenter", "dragover", "drop"]'
        self.value(f"""(() => {{
            {_transfer(file, kind)}
            for (const name of {names})
              document.querySelector("[data-testid={testid}]").dispatchEvent(
                new DragEvent(name, {{ dataTransfer: data, bubbles: true, cancelable: true }}));
        }})()""")

    def paste(self, file, kind):
        self.value(f"""(() => {{
            {_transfer(file, kind)}
            document.body.dispatchEvent(new ClipboardEvent("paste", {{ clipboardData: data, bubbles: true }}));
        }})()""")

    def key(self, key):
        text = {"Enter": "\r"}.get(key, key if len(key) == 1 else "")
        for kind in ("keyDown", "keyUp"):
            self.call(
                "Input.dispatchKeyEvent", type=kind, key=key, text=text, windowsVirtualKeyCode=KEY_CODES.get(key, 0)
            )

    def picture(self, file, whole=True):
        """A screenshot."""
        self.call("Page.bringToFront")
        shot = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        file.write_bytes(base64.b64decode(shot["data"]))


def _transfer(file, kind):
    """A script that makes `data`, with the file in it."""
    content = base64.b64encode(file.read_bytes()).decode()
    return f"""const bytes = Uint8Array.from(atob("{content}"), (sign) => sign.charCodeAt(0));
            const data = new DataTransfer();
            data.items.add(new File([bytes], {json.dumps(file.name)}, {{ type: "{kind}" }}));"""
