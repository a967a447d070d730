"""Looks at the stations page in a real browser and holds it against the server's own /status.json.

    python look.py URL SCREENSHOT.png [--complete | --withdrawn | --down]

Checks what the page shows, that it can be used by keyboard alone, that a refresh or an outage loses
nothing, and that a phone has room for it. `--complete` also wants the complete message, `--withdrawn`
the message that the batch is withdrawn. `--down` wants the banner instead: it says `loaded URL` and then waits a minute for the server or its store to go away.
Needs chromium, its driver, and selenium. Prints `looked at URL`, or fails with an AssertionError.
"""

import argparse
import json
import urllib.error
import urllib.request
from decimal import ROUND_HALF_UP, Decimal

from selenium import webdriver
from selenium.common.exceptions import TimeoutException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

PATIENCE = 20
OUTAGE_PATIENCE = 60
STATES = ["flashed", "failed", "scrapped", "stale", "damaged", "claimed", "left"]

SEEN = """
const at = id => document.getElementById(id);
const cell = element => ({ text: element.innerText.trim(), count: Number(element.dataset.count) });
const items = id => [...at(id).querySelectorAll("li")].map(item => ({
    device: item.dataset.device, station: item.dataset.station, text: item.innerText }));
const notice = id => at(id).checkVisibility() ? at(id).innerText : "";
return {
    title: document.title,
    state: document.documentElement.dataset.state,
    percent: cell(at("percent")),
    flashed: cell(at("flashed")),
    devices: cell(at("of")).count,
    rate: cell(at("rate")),
    end: at("end").innerText,
    legend: Object.fromEntries([...at("legend").children].map(entry => [entry.dataset.state, cell(entry.querySelector("b"))])),
    bar: Object.fromEntries([...at("bar").children].map(part => [part.className, part.getBoundingClientRect().width])),
    stations: Object.fromEntries([...at("stations").querySelectorAll("[data-station]")].map(row => [row.dataset.station, {
        name: row.querySelector("button").textContent, status: row.querySelector(".status").innerText,
        rate: cell(row.querySelector(".rate")), flashed: cell(row.querySelector(".made")) }])),
    known: latest?.failures.map(failure => failure.station) ?? [],
    failures: items("failures"), noFailures: notice("failures"),
    stale: items("stale"), noStale: notice("stale"),
    banner: notice("banner"), complete: notice("complete"), withdrawn: notice("withdrawn"), damaged: notice("damaged"),
};
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("url")
    parser.add_argument("screenshot")
    wanted = parser.add_mutually_exclusive_group()
    wanted.add_argument("--complete", action="store_true", help="the batch is complete: the page must say so")
    wanted.add_argument("--withdrawn", action="store_true", help="the batch is withdrawn: the page must say so")
    wanted.add_argument("--down", action="store_true", help="the server or its store is away, or soon will be")
    args = parser.parse_args()

    url = args.url.rstrip("/")
    browser = start_browser()
    try:
        browser.get(f"{url}/")
        if args.down:
            check_banner(browser, url)
        else:
            shows_what_the_server_says(browser, url, args)
            is_read_from_afar(browser)
            is_used_by_keyboard(browser)
            fits_a_phone(browser)
            complains_of_nothing(browser)
            survives_an_outage(browser)
        assert browser.save_screenshot(args.screenshot), f"cannot write {args.screenshot}"
    finally:
        browser.quit()
    print(f"looked at {args.url}")


def start_browser():
    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    for switch in ["--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1920,1080"]:
        options.add_argument(switch)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    browser = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))
    resize(browser, 1920, 1080)
    return browser


def resize(browser, width, height):
    """Sets the size of the page itself: a window's has the browser's own bars in it, and a least width."""
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


def shows_what_the_server_says(browser, url, wanted):
    # Stations go on working between the page's poll and ours, so both are asked until they agree.
    differences = []

    def agree(_):
        seen = browser.execute_script(SEEN)
        agrees_with_itself(seen)
        differences[:] = compare(seen, fetch_status(url))
        return not differences

    wait(browser, agree, lambda: "the page differs from /status.json:\n  " + "\n  ".join(differences))
    seen, status = browser.execute_script(SEEN), fetch_status(url)
    if wanted.withdrawn:
        assert "withdrawn" in seen["withdrawn"].lower(), "no message that the batch is withdrawn"
    if wanted.complete:
        assert status["flashed"] + status["scrapped"] == status["devices"], "the batch is not complete"
        assert "complete" in seen["complete"].lower(), "no complete message"
    assert (seen["bar"]["flashed"] > 0) == (seen["flashed"]["count"] > 0), f"the bar is wrong: {seen['bar']}"


def agrees_with_itself(seen):
    """What must hold at every instant, however fast the stations work."""
    if seen["state"] != "live":
        return
    devices, flashed = seen["devices"], seen["flashed"]["count"]
    tenths = flashed * 1000 // devices if devices else 0
    percent = "100%" if tenths == 1000 else f"{tenths // 10}.{tenths % 10}%"
    assert seen["percent"]["text"] == percent, f"{seen['percent']['text']} for {flashed} of {devices}"
    assert percent in seen["title"], f"the title {seen['title']!r} has no {percent}"
    parts = sum(cell["count"] for cell in seen["legend"].values())
    assert parts == devices, f"the legend adds up to {parts}, not to {devices}"


def compare(seen, status):
    """Everything in which the page `seen` differs from `status`, in words."""
    if seen["state"] != "live":
        return [f"the page is {seen['state']}: {seen['banner']}"]
    differences = []

    def expect(what, got, want):
        if got != want:
            differences.append(f"{what}: {got!r}, not {want!r}")

    def expect_rate(what, cell, want):
        expect(f"{what} as text", cell["text"], rate_text(cell["count"]))
        # A rate is over a window that ends now: it may move between two answers.
        if abs(cell["count"] - want) > max(1, want * 0.05):
            differences.append(f"{what}: {cell['count']}, not {want}")

    devices, flashed = status["devices"], status["flashed"]
    expect("devices", seen["devices"], devices)
    expect("flashed", seen["flashed"], {"text": f"{flashed:,}", "count": flashed})
    for state in STATES:
        expect(state, seen["legend"][state], {"text": f"{status[state]:,}", "count": status[state]})
    expect_rate("rate", seen["rate"], status["devices_per_hour"])
    complete = devices > 0 and flashed + status["scrapped"] == devices
    expect("complete message", bool(seen["complete"]), complete)
    withdrawn = status["withdrawn"]
    expect("withdrawn message", bool(seen["withdrawn"]), withdrawn is not None)
    expect("withdrawn in the title", "WITHDRAWN" in seen["title"], withdrawn is not None)
    expect("message of damaged claims", bool(seen["damaged"]), status["damaged"] > 0)
    for claim in status["damaged_claims"][:5]:
        expect("damaged claim", squeeze(claim["object"]) in squeeze(seen["damaged"]), True)
    if withdrawn:
        expect("reason", squeeze(withdrawn["reason"]) in squeeze(seen["withdrawn"]), True)
    if not complete:
        expect("end is unknown", seen["end"] == "unknown", status["complete_at"] is None)

    stations = {station["station"]: station for station in status["stations"]}
    expect("stations", sorted(seen["stations"]), sorted(stations))
    for name in seen["stations"].keys() & stations.keys():
        row, station = seen["stations"][name], stations[name]
        expect(f"name of {name}", row["name"], name)
        expect(f"flashed at {name}", row["flashed"]["count"], station["flashed"])
        expect_rate(f"rate of {name}", row["rate"], station["devices_per_hour"])
        expect(f"{name} is called stale", "stale" in row["status"], station["stale"] > 0)
        expect(f"{name} is called silent", "silent" in row["status"], station["silent_minutes"] is not None)

    failures, stale = status["failures"], status["stale_claims"]
    expect("failures", [item["device"] for item in seen["failures"]], [failure["device_id"] for failure in failures])
    expect("stale claims", [item["device"] for item in seen["stale"]], [claim["device_id"] for claim in stale])
    for item, failure in zip(seen["failures"], failures):
        for word in [failure["device_id"], failure["station"], failure["state"], failure["reason"] or "no reason given"]:
            expect(f"{word!r} in {item['text']!r}", squeeze(word) in squeeze(item["text"]), True)
    if not failures and not status["failed"] + status["scrapped"]:
        expect("empty failures", seen["noFailures"], "no failures")
    if not stale and not status["stale"]:
        expect("empty stale claims", seen["noStale"], "no stale claims")
    return differences


def is_read_from_afar(browser):
    size = browser.execute_script("return parseFloat(getComputedStyle(document.getElementById('percent')).fontSize)")
    assert size >= 100, f"the percent is {size} px"
    assert browser.execute_script("return document.documentElement.scrollHeight <= innerHeight"), "the wall screen scrolls"


def is_used_by_keyboard(browser):
    if not browser.execute_script("return document.querySelector('#stations [data-station]') !== null"):
        return
    for _ in range(20):
        press(browser, Keys.TAB)
        if browser.execute_script("return document.activeElement.matches('#stations tbody button')"):
            break
    else:
        raise AssertionError("Tab does not reach a station")
    station = browser.execute_script("""
        window.focusedBefore = document.activeElement;
        return document.activeElement.closest('[data-station]').dataset.station""")

    press(browser, Keys.ENTER)
    check_filter(browser, station)
    await_polls(browser, 2)
    check_filter(browser, station)
    assert browser.execute_script("return document.activeElement === window.focusedBefore"), "a refresh loses the focus"
    press(browser, Keys.ESCAPE)
    pressed = browser.execute_script("return document.querySelectorAll('[aria-pressed=true]').length")
    assert pressed == 0, "Escape does not clear the filter"
    seen = browser.execute_script(SEEN)
    assert len(seen["failures"]) == len(seen["known"]), "Escape does not bring the failures back"
    assert browser.execute_script("return document.activeElement === window.focusedBefore"), "Escape loses the focus"


def check_filter(browser, station):
    pressed = browser.execute_script("""
        return [...document.querySelectorAll('#stations [aria-pressed=true]')]
            .map(button => button.closest('[data-station]').dataset.station)""")
    assert pressed == [station], f"pressed: {pressed}, not {station}"
    seen = browser.execute_script(SEEN)
    others = [item for item in seen["failures"] + seen["stale"] if item["station"] != station]
    assert not others, f"the lists of {station} show {others}"
    listed, known = len(seen["failures"]), seen["known"].count(station)
    assert listed == known, f"{listed} failures of {station} are listed, not {known}"


def fits_a_phone(browser):
    resize(browser, 400, 800)
    wait(browser, lambda _: browser.execute_script("return innerWidth === 400"), lambda: "the page is not 400 px wide")
    width = browser.execute_script("return document.documentElement.scrollWidth")
    assert width <= 400, f"the page is {width} px wide at 400 px"
    for panel in ["stations", "failures", "stale"]:
        over = browser.execute_script("const e = document.getElementById(arguments[0]); return e.scrollWidth - e.clientWidth", panel)
        assert over <= 0, f"{panel} scrolls sideways by {over} px"
    resize(browser, 1920, 1080)


def complains_of_nothing(browser, network=True):
    complaints = [entry["message"] for entry in browser.get_log("browser") if network or entry["source"] != "network"]
    assert not complaints, f"the console says {complaints}"
    foreign = browser.execute_script("""
        return performance.getEntriesByType('resource').map(entry => entry.name)
            .filter(name => new URL(name).protocol !== 'data:' && new URL(name).origin !== location.origin)""")
    assert not foreign, f"the page asks others: {foreign}"


def survives_an_outage(browser):
    before = browser.execute_script(SEEN)
    network = {"latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
    browser.execute_cdp_cmd("Network.enable", {})
    browser.execute_cdp_cmd("Network.emulateNetworkConditions", {"offline": True, **network})
    wait(browser, lambda _: browser.execute_script(SEEN)["banner"], lambda: "no banner while offline")
    seen = browser.execute_script(SEEN)
    assert seen["state"] == "old" and seen["title"].startswith("old data"), f"{seen['state']}, {seen['title']}"
    assert seen["stations"].keys() == before["stations"].keys(), "an outage loses stations"
    browser.execute_cdp_cmd("Network.emulateNetworkConditions", {"offline": False, **network})
    wait(browser, lambda _: not browser.execute_script(SEEN)["banner"], lambda: "the banner stays after the outage")
    complains_of_nothing(browser, network=False)


def check_banner(browser, url):
    await_polls(browser, 1)
    loaded = browser.execute_script(SEEN)["state"] != "loading"
    print(f"loaded {url}", flush=True)
    wait(browser, lambda _: browser.execute_script(SEEN)["banner"], lambda: "no banner", OUTAGE_PATIENCE)
    seen = browser.execute_script(SEEN)
    want = "OLD DATA" if loaded else "NO DATA YET"
    assert want in seen["banner"], f"the banner says {seen['banner']!r}"
    try:
        fetch_status(url)
    except urllib.error.HTTPError as error:
        message = json.load(error)["error"]["message"]
        assert squeeze(message) in squeeze(seen["banner"]), f"the banner does not say {message!r}: {seen['banner']!r}"
    except OSError:
        assert "not reachable" in seen["banner"], f"the banner says {seen['banner']!r}"
    if loaded:
        assert seen["flashed"]["text"], "the old data is gone"
        opacity = browser.execute_script("return getComputedStyle(document.getElementById('main')).opacity")
        assert float(opacity) < 1, "old data is not dimmed"
    complains_of_nothing(browser, network=False)


def await_polls(browser, count):
    polls = "return Number(document.documentElement.dataset.polls)"
    before = browser.execute_script(polls)
    wait(browser, lambda _: browser.execute_script(polls) >= before + count, lambda: "the page has stopped polling")


def wait(browser, condition, reason, patience=PATIENCE):
    try:
        WebDriverWait(browser, patience, poll_frequency=0.1).until(condition)
    except TimeoutException:
        raise AssertionError(reason()) from None


def press(browser, key):
    browser.switch_to.active_element.send_keys(key)


def fetch_status(url):
    with urllib.request.urlopen(f"{url}/status.json", timeout=10) as answer:
        return json.load(answer)


def rate_text(rate):
    """As the page writes a rate: whole numbers from ten on, one decimal place below."""
    digits = Decimal("0.1") if rate < 10 else Decimal("1")
    text = f"{Decimal(rate).quantize(digits, ROUND_HALF_UP):,}"
    return text.removesuffix(".0")


def squeeze(text):
    """Without white space: a browser folds and breaks lines as it likes."""
    return "".join(text.split())


if __name__ == "__main__":
    main()
