"""The status page in a browser: a cluster fails and comes back, the daemon goes
away, and the page that was opened at the start says so by itself; with 1,000
zones; in light and dark, on a desk and on a phone."""

import contextlib
import pathlib
import re
import signal
import threading
import time

import ask
from bed import LOOPBACK, free_port, two
from browser import Browser
from worlds import A, B, Z, seed
from .seed import QUESTION

WIDTHS = (360, 800, 1280)
MANY = 1000
# What each row of the zones says: name and state.
ROWS = """
return [...document.querySelectorAll("#zones tbody tr")].map((row) =>
  [row.querySelector("th span").innerText, row.querySelector("td").innerText.trim()])
"""


def admin(daemon):
    """Where the daemon's page is."""
    found = [line for line in daemon.printed if line.startswith("admin on ")]
    return f"http://{found[0].split()[2]}/"


@contextlib.contextmanager
def traffic(daemon):
    """Somebody who asks all the time."""
    ended = threading.Event()

    def go_on():
        while not ended.wait(0.05):
            with contextlib.suppress(Exception):  # the daemon may be gone
                ask.ask(daemon, QUESTION, "SRV")

    asking = threading.Thread(target=go_on, daemon=True)
    asking.start()
    try:
        yield
    finally:
        ended.set()
        asking.join(10)


def looks(check, browser, name):
    """What holds for every state of the page: it fits, can be read, is its own."""
    for scheme in ("light", "dark"):
        for width in WIDTHS:
            browser.screen(width, scheme)
            time.sleep(0.3)  # the charts are drawn anew
            browser.picture(f"{name}-{scheme}-{width}")
            check.that(f"{name}: nothing is cut off at {width} pixels, {scheme}",
                       browser.overflow() <= 0, browser.overflow())
            count, faint = browser.contrast()
            check.that(f"{name}: every text has contrast AA at {width} pixels, {scheme}",
                       count > 20 and not faint, f"{count} texts, too faint: {faint}")
    browser.screen(1280, "light")


def row(browser, name):
    """The state of a cluster or a server."""
    return dict(browser.js(ROWS)).get(name)


def up(check, browser, a, b):
    check.that("all clusters answer: the page says so",
               browser.until(lambda: browser.text("#calm") == "All clusters answer."),
               browser.text("#attention"))
    check.same("both clusters and their servers are up",
               [row(browser, name) for name in ("a-", a.at, "b-", b.at)], ["up"] * 4)
    check.that("the zone's answers are whole", browser.until(
        lambda: re.search(r"^[\d,]+ whole in", browser.text("#zones .counts"))),
        browser.text("#zones .counts"))
    check.that("the rate of queries is shown and drawn", browser.until(
        lambda: browser.text("#numbers div dd") != "0 /s"
        and "L" in browser.js("return document.querySelector('#rate-plot .curve').getAttribute('d') || ''")),
        browser.text("#numbers"))
    check.that("round trips are shown in milliseconds", browser.until(lambda: re.search(
        r"\d ms", browser.js("return document.querySelector('[data-label=\"Round trip\"]').innerText"))))
    browser.js("document.querySelector('#rate-plot').focus()")
    browser.driver.switch_to.active_element.send_keys("\ue012")  # arrow left
    check.that("the arrow keys read single values of the chart", browser.until(
        lambda: " queries, " in browser.text("#rate-readout")), browser.text("#rate-readout"))


def down(check, browser, b):
    # What somebody has selected stays so.
    browser.js("window.opened = 1; document.activeElement.blur();"
               "getSelection().selectAllChildren(document.querySelector('#zones h3'))")
    b.send(signal.SIGSTOP)
    check.that("a cluster falls silent: it is down", browser.until(
        lambda: row(browser, "b-") == "down"), browser.js(ROWS))
    check.same("and its server is out", row(browser, b.at), "out")
    said = rf"cluster b- \({re.escape(B)}\) of {re.escape(Z)} is down since [\d: -]+ \(\d+ s\): "
    check.that("the attention box says which, since when and what it means", browser.until(
        lambda: re.search(said + "its last good answers fill in", browser.text("#attention"))),
        browser.text("#attention"))
    check.that("it is announced", browser.until(lambda: "cluster b-" in browser.js(
        "return document.querySelector('#announce').textContent")))
    check.that("the title counts it", browser.until(
        lambda: browser.driver.title == "(1) gathersrv"), browser.driver.title)
    check.that("the events tell it", browser.until(lambda: re.search(
        rf"cluster {re.escape(B)} b- of {re.escape(Z)} is missing", browser.text("#events"))),
               browser.text("#events"))
    check.that("incomplete answers are drawn", browser.until(lambda: "h" in browser.js(
        "return document.querySelector('#rate-plot .hatched').getAttribute('d')")))
    check.same("all in place: the page was not loaded again, a selection stays",
               browser.js("return [window.opened, String(getSelection())]"), [1, Z])


def unseen(check, browser):
    browser.js("window.counts = []; document.addEventListener('visibilitychange', () =>"
               " counts.push(performance.getEntriesByType('resource').length))")
    page = browser.driver.current_window_handle
    browser.driver.switch_to.new_window("tab")
    time.sleep(4)
    browser.driver.close()
    browser.driver.switch_to.window(page)
    browser.until(lambda: len(browser.js("return counts")) == 2)
    counts = browser.js("return counts")
    # The one that was under way may come to its end.
    check.that("nothing is asked while the page cannot be seen",
               len(counts) == 2 and counts[1] - counts[0] <= 1, counts)
    asked = "return performance.getEntriesByType('resource').length"
    check.that("and it goes on when it can", browser.until(
        lambda: browser.js(asked) > counts[-1] + 1), browser.js(asked))


def gone(bed, check, browser, daemon, words):
    url = admin(daemon)
    daemon.end()
    check.that("the daemon ends: the page says that it is unreachable, and since when",
               browser.until(lambda: re.search(r"unreachable since [\d:]+ \(\d+ s\)",
                                               browser.text("#lost"))), browser.text("#lost"))
    check.same("what was last seen is greyed",
               browser.js("return getComputedStyle(document.querySelector('main')).filter"),
               "grayscale(1)")
    browser.picture("unreachable")
    again = bed.gathersrv(*words, "--admin", url.split("/")[2], listen=(daemon.at,))
    check.that("it is there again: the page goes on by itself", browser.until(
        lambda: browser.text("#live") == "live" and browser.text("#lost") == ""),
        browser.text("#lost"))
    check.same("still the same page", browser.js("return window.opened"), 1)
    again.end()


def many(bed, check, a, b):
    words = [word for n in range(MANY) for word in two(a, b, zone=f"z{n}.many.")]
    daemon = bed.gathersrv(*words, "--admin", LOOPBACK + ":0")
    with Browser(bed.dir) as browser:
        browser.open(admin(daemon))
        shown = "return document.querySelectorAll('#zones > details').length"
        check.that("1,000 zones: the first 50 are shown",
                   browser.until(lambda: browser.js(shown) == 50), browser.js(shown))
        browser.screen(360, "dark")
        check.that("1,000 zones: nothing is cut off on a phone", browser.overflow() <= 0)
        browser.picture("many-dark-360")
        browser.screen(1280, "light")
        browser.picture("many-light-1280")
        browser.driver.find_element("id", "filter").send_keys("z777")
        check.that("the filter finds one", browser.until(
            lambda: browser.text("#zones-count") == "1 of 1,000 zones"),
            browser.text("#zones-count"))
        browser.driver.find_element("id", "filter").send_keys("\ue003" * 4)  # backspace
        browser.driver.find_element("id", "zones-all").click()
        check.that("all are shown on demand", browser.until(
            lambda: browser.js(shown) == MANY), browser.js(shown))
        browser.collect()
        check.same("1,000 zones: the console is silent", browser.console, [])
    daemon.end()


def one_zone_of_two_blocks_was_one_part(bed, check, a, b):
    """The second block's zone took the first one's place at each look."""
    ports, at = [free_port(), free_port()], free_port()
    path = bed.dir / "Corefile"
    path.write_text("".join(
        f"{Z}:{port} {{\n bind {LOOPBACK}\n prometheus {LOOPBACK}:{at}\n gathersrv {Z} {{\n"
        f"  {suffix} {prefix} {server.at}\n }}\n}}\n"
        for port, suffix, prefix, server in zip(ports, (A, B), ("a-", "b-"), (a, b))))
    daemon = bed.configured(path, ports[0])
    with Browser(bed.dir) as browser:
        browser.open(f"http://{LOOPBACK}:{at}/")
        shown = ("return [...document.querySelectorAll('#zones > details')].map((zone) =>"
                 " [zone.querySelector('h3').textContent, zone.querySelector('table').textContent])")

        def each():
            parts = browser.js(shown)
            servers = [sum(server.at in text for _, text in parts) for server in (a, b)]
            return [zone for zone, _ in parts] == [Z, Z] and servers == [1, 1]

        check.that("two blocks with one zone: each has its part", browser.until(each),
                   browser.js(shown))
    daemon.end()


def a_peak_just_below_a_power_of_ten_had_no_axis(check, browser):
    page = (pathlib.Path(__file__).resolve().parents[3] / "src/admin/page.html").read_text()
    function, = re.findall(r"^function round\(top\) \{.*?^\}$", page, re.M | re.S)
    tops = [0.09999, 0.3, 1, 5.5, 8.1, 9.9995, 10, 99.995, 999.95, 12_345]
    bounds = browser.js(function + "\nreturn arguments[0].map(round)", tops)
    check.that("a chart's axis ends above its peak, not far above",
               all(bound is not None and top < bound <= 2.1 * top for top, bound in zip(tops, bounds)),
               list(zip(tops, bounds)))


def run(bed, check):
    a, b = bed.knot({A: seed(A, "10.8")}), bed.knot({B: seed(B, "10.9")})
    words = two(a, b)
    daemon = bed.gathersrv(*words, "--admin", LOOPBACK + ":0")
    with Browser(bed.dir) as browser, traffic(daemon):
        browser.screen(1280, "light")
        browser.open(admin(daemon))
        up(check, browser, a, b)
        looks(check, browser, "up")
        down(check, browser, b)
        looks(check, browser, "down")
        b.send(signal.SIGCONT)
        check.that("it answers again: it is up", browser.until(
            lambda: row(browser, "b-") == "up" and row(browser, b.at) == "up"), browser.js(ROWS))
        unseen(check, browser)
        a_peak_just_below_a_power_of_ten_had_no_axis(check, browser)
        browser.collect()
        check.same("the console is silent", browser.console, [])
        gone(bed, check, browser, daemon, words)
        strange = [url for url in browser.asked() if not url.startswith(admin(daemon))]
        check.same("nobody else is asked for anything", strange, [])
        check.same("the daemon is asked again only when it has answered",
                   browser.at_once("status.json"), 1)
    one_zone_of_two_blocks_was_one_part(bed, check, a, b)
    many(bed, check, a, b)
