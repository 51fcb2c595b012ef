"""Chromium without a window, and what can be asked of a page in it.

It has a profile of its own in the bed's directory and ends with the scenario.
Selenium is told where browser and driver are, so that it looks for neither.
"""

import json
import os
import pathlib
import shutil
import tempfile
import time

from selenium import webdriver
from selenium.webdriver.chrome.service import Service

from bed import die_with_parent
from checks import until

FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync",
         "--hide-scrollbars", "--force-device-scale-factor=1",
         # It ends when its driver does, however that ends.
         "--remote-debugging-pipe")
# Seconds in which a page comes to show something.
PATIENCE = 30
# Where pictures are kept, for those who want to look at them.
KEEP = "GATHERSRV_TEST_PICTURES"

# Texts with too little contrast for WCAG 2.1 AA: 4.5 to 1, large ones 3 to 1.
CONTRAST = """
const dye = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
function parts(colour) {
  dye.clearRect(0, 0, 1, 1); dye.fillStyle = colour; dye.fillRect(0, 0, 1, 1);
  const [r, g, b, a] = dye.getImageData(0, 0, 1, 1).data;
  return [r, g, b, a / 255];
}
function over(top, below) { return [0, 1, 2].map((i) => top[i] * top[3] + below[i] * (1 - top[3])); }
function light(rgb) {
  const [r, g, b] = rgb.map((v) => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}
const found = [];
let looked = 0;
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
  const text = walker.currentNode.textContent.trim(), owner = walker.currentNode.parentElement;
  if (!text || ["SCRIPT", "NOSCRIPT"].includes(owner.tagName) || !owner.checkVisibility()) continue;
  const box = owner.getBoundingClientRect();
  if (box.width < 2 || box.height < 2) continue;
  const style = getComputedStyle(owner), layers = [];
  for (let at = owner; at; at = at.parentElement) layers.unshift(parts(getComputedStyle(at).backgroundColor));
  const back = layers.reduce((below, top) => over(top, below), [255, 255, 255]);
  const front = over(parts(owner.namespaceURI.endsWith("svg") ? style.fill : style.color), back);
  const [high, low] = [light(front), light(back)].sort((a, b) => b - a);
  const size = parseFloat(style.fontSize), large = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
  looked += 1;
  if ((high + 0.05) / (low + 0.05) < (large ? 3 : 4.5)) found.push(text + " " + ((high + 0.05) / (low + 0.05)).toFixed(2));
}
return [looked, found];
"""


class Browser:
    """One window. What it says on its console and asks of the network is kept."""

    def __init__(self, directory):
        self.dir = pathlib.Path(directory)
        self.console = []
        self.network = []
        self.width = 0

    def __enter__(self):
        home = tempfile.mkdtemp(dir=self.dir, prefix="browser-")
        options = webdriver.ChromeOptions()
        options.binary_location = shutil.which("chromium")
        for flag in (*FLAGS, f"--user-data-dir={home}/profile"):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        service = Service(shutil.which("chromedriver"), env={**os.environ, "HOME": home},
                          popen_kw={"preexec_fn": die_with_parent})
        self.driver = webdriver.Chrome(options=options, service=service)
        self.driver.set_page_load_timeout(PATIENCE)
        return self

    def __exit__(self, *_):
        self.driver.quit()

    def open(self, url):
        self.driver.get(url)

    def js(self, body, *words):
        """What the body of a function returns in the page."""
        return self.driver.execute_script(body, *words)

    def text(self, selector):
        """The text of an element as it can be seen."""
        return self.js("const node = document.querySelector(arguments[0]);"
                       "return node.checkVisibility() ? node.innerText : ''", selector)

    def until(self, true, patience=PATIENCE):
        """Whether the page comes to where `true()` is."""
        return until(true, patience)

    def screen(self, width, scheme):
        """A window this wide, in the `light` or `dark` scheme."""
        self.width = width
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
            "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600})
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {
            "features": [{"name": "prefers-color-scheme", "value": scheme}]})

    def overflow(self):
        """How many pixels the page is wider than its screen. (A phone's browser
        makes its window as wide as the page: that one says nothing.)"""
        return self.js("return document.documentElement.scrollWidth") - self.width

    def contrast(self):
        """How many texts can be seen, and those that are too faint."""
        return self.js(CONTRAST)

    def picture(self, name):
        """The page as a picture; kept if the environment says where."""
        kept = pathlib.Path(os.environ.get(KEEP) or self.dir)
        kept.mkdir(parents=True, exist_ok=True)
        path = kept / f"{name}.png"
        self.driver.save_screenshot(str(path))
        return path

    def collect(self):
        """Takes over what console and network have said since the last time."""
        self.console += [entry["message"] for entry in self.driver.get_log("browser")]
        for entry in self.driver.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"].startswith("Network."):
                self.network.append((message["method"], message["params"]))

    def asked(self):
        """The addresses that were asked for; what is in the page or in the browser
        itself is none."""
        self.collect()
        urls = [params["request"]["url"] for method, params in self.network
                if method == "Network.requestWillBeSent"]
        return [url for url in urls if not url.startswith(("data:", "chrome:"))]

    def at_once(self, part):
        """The most requests for an address with `part` that were open at one time."""
        self.collect()
        pending, most = set(), 0
        for method, params in self.network:
            if method == "Network.requestWillBeSent" and part in params["request"]["url"]:
                pending.add(params["requestId"])
                most = max(most, len(pending))
            elif method in ("Network.loadingFinished", "Network.loadingFailed"):
                pending.discard(params["requestId"])
        return most
