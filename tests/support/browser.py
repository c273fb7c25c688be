"""A headless Chromium without a network, spoken to by its DevTools protocol: what a page asks for and complains of."""

from __future__ import annotations

import asyncio
import base64
import itertools
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import aiohttp
import pytest

__all__ = ["OpenedPage", "find_chromium", "open_offline"]

SECONDS = 60
#: Beside being unreachable for anything else, a page of its own may be as long as it likes.
WIDTH, LONGEST = 1200, 16_000


@dataclass
class OpenedPage:
    """A page that was loaded.

    Attributes:
        requested: addresses that it asked for, without data URIs.
        failed: what could not be loaded.
        complaints: what stands in the console, and exceptions.
        broken: alternative texts of pictures that are not shown.
        pictures: how many there are.
        width: of its content, pixels.
        screenshot: PNG of the whole page.
    """

    requested: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    pictures: int = 0
    width: int = 0
    screenshot: bytes = b""


def find_chromium() -> str:
    """Where Chromium is; skips the test where there is none, except in CI."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        if os.environ.get("CI") == "true":
            pytest.fail("chromium is not installed")
        pytest.skip("chromium is not installed (apt-get install chromium)")
    return found


def open_offline(path: Path, width: int = WIDTH, scheme: Literal["light", "dark"] = "light") -> OpenedPage:
    """Open a file in a browser that reaches nothing else, and look at what happens.

    Args:
        path: of the file.
        width: of the window, pixels.
        scheme: of colours that its user prefers.
    """
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        process = subprocess.Popen(
            [
                find_chromium(),
                "--headless=new",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--remote-debugging-port=0",
                f"--user-data-dir={profile}",
                "about:blank",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            return asyncio.run(asyncio.wait_for(_look(Path(profile), path, width, scheme), SECONDS))
        finally:
            process.kill()
            process.wait()


async def _look(profile: Path, path: Path, width: int, scheme: str) -> OpenedPage:
    page = OpenedPage()
    async with aiohttp.ClientSession() as session:
        port = await _port(profile / "DevToolsActivePort")
        async with session.get(f"http://127.0.0.1:{port}/json") as answer:
            target = next(one for one in await answer.json() if one["type"] == "page")
        async with session.ws_connect(target["webSocketDebuggerUrl"], max_msg_size=0) as socket:
            await _load(_Tab(socket, page), page, path, width, scheme)
    return page


async def _port(file: Path) -> str:
    while not file.exists() or not file.read_text():
        await asyncio.sleep(0.05)
    return file.read_text().split()[0]


async def _load(tab: _Tab, page: OpenedPage, path: Path, width: int, scheme: str) -> None:
    for domain in ("Page", "Network", "Log", "Runtime"):
        await tab.ask(f"{domain}.enable")
    offline = {"offline": True, "latency": 0, "downloadThroughput": 0, "uploadThroughput": 0}
    await tab.ask("Network.emulateNetworkConditions", **offline)
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    await tab.ask("Emulation.setDeviceMetricsOverride", **size)
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    await tab.ask("Emulation.setEmulatedMedia", features=features)
    await tab.ask("Page.navigate", url=path.resolve().as_uri())
    await tab.wait_for("Page.loadEventFired")
    decoded = "Promise.all([...document.images].map(i => i.decode().then(() => null, () => i.alt)))"
    broken = await tab.ask("Runtime.evaluate", expression=decoded, awaitPromise=True, returnByValue=True)
    page.pictures = len(broken["result"]["value"])
    page.broken = [alt for alt in broken["result"]["value"] if alt is not None]
    sizes = (await tab.ask("Page.getLayoutMetrics"))["cssContentSize"]
    page.width = round(sizes["width"])
    clip = {"x": 0, "y": 0, "width": width, "height": min(sizes["height"], LONGEST), "scale": 1}
    shot = await tab.ask("Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=clip)
    page.screenshot = base64.b64decode(shot["data"])


class _Tab:
    """Asks the tab, and writes down what it tells meanwhile."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, page: OpenedPage) -> None:
        self._socket, self._page = socket, page
        self._numbers = itertools.count(1)
        self._fired: set[str] = set()

    async def ask(self, method: str, **params: Any) -> dict[str, Any]:
        number = next(self._numbers)
        await self._socket.send_json({"id": number, "method": method, "params": params})
        while True:
            message = await self._receive()
            if message.get("id") == number:
                assert "error" not in message, (method, message["error"])
                return dict(message["result"])

    async def wait_for(self, event: str) -> None:
        while event not in self._fired:
            await self._receive()

    async def _receive(self) -> dict[str, Any]:
        message = await self._socket.receive_json()
        params = message.get("params", {})
        match message.get("method"):
            case "Network.requestWillBeSent":
                url = params["request"]["url"]
                if not url.startswith("data:"):
                    self._page.requested.append(url)
            case "Network.loadingFailed":
                self._page.failed.append(params["errorText"])
            case "Log.entryAdded":
                self._page.complaints.append(params["entry"]["text"])
            case "Runtime.consoleAPICalled":
                self._page.complaints.append(str(params["args"]))
            case "Runtime.exceptionThrown":
                self._page.complaints.append(params["exceptionDetails"]["text"])
        self._fired.add(message.get("method", ""))
        return dict(message)
