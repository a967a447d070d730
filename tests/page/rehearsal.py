"""Looks at the page of a rehearsal in a real browser, while somebody else has devices connect.

    python rehearsal.py URL FOLDER

Opens the page once and then takes orders from standard input, a line each: `["what is to be seen", DETAILS]`, such as
`["device", {"device": "SN000000", "status": "ACTIVE", "why": ""}]`. It looks until that is there, without loading the
page again, and prints `seen ...`, or fails with an AssertionError. Pictures are put into FOLDER.
Needs chromium, its driver, and selenium.
"""

import argparse
import json
import pathlib
import sys

from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from look import await_polls, complains_of_nothing, press, resize, start_browser, wait

OUTAGE_PATIENCE = 30

SEEN = """
const at = id => document.getElementById(id);
const items = id => [...document.querySelectorAll(`#${id} li`)].map(item => ({
    name: item.querySelector("b").textContent, text: item.innerText, kind: item.dataset.kind, status: item.dataset.status,
    fresh: item.classList.contains("new"), marks: [...item.querySelectorAll(".mark")].map(mark => mark.innerText),
    id: item.querySelector("code")?.textContent, idWidth: item.querySelector("code")?.getBoundingClientRect().width,
    codes: item.querySelectorAll("code").length, paragraph: item.querySelector("p")?.innerText }));
const lists = ["events", "devices", "things", "policies"];
return {
    title: document.title, state: document.documentElement.dataset.state, marker: window.marker,
    counts: Object.fromEntries([...at("counts").children].map(item => [item.dataset.name, Number(item.dataset.count)])),
    ...Object.fromEntries(lists.map(id => [id, items(id)])),
    notes: Object.fromEntries(lists.map(id => [id, at(`${id}-note`).innerText])),
    empty: Object.fromEntries(lists.map(id => [id, document.querySelector(`#${id} .empty`).innerText])),
    banner: at("banner").checkVisibility() ? at("banner").innerText : "", announced: at("live").textContent,
};
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("url")
    parser.add_argument("folder", type=pathlib.Path)
    args = parser.parse_args()
    browser = start_browser()
    try:
        browser.get(args.url)
        browser.execute_script("window.marker = 'never loaded again'")
        await_polls(browser, 1)
        for line in sys.stdin:
            what, details = json.loads(line)
            if what == "a picture":
                take_pictures(browser, args.folder, details)
            else:
                LOOKS[what](browser, details)
            assert look(browser)["marker"], "the page was loaded again"
            if what != "an outage":
                complains_of_nothing(browser)
            print(f"seen {what}", flush=True)
    finally:
        browser.quit()


def look(browser):
    return browser.execute_script(SEEN)


def until(browser, condition, patience=20):
    """Looks until `condition`, given what is seen, is true; gives what was seen then."""
    seen = {}

    def holds(_):
        seen.update(look(browser))
        return condition(seen)

    wait(browser, holds, lambda: "the page shows " + json.dumps(seen, indent=1), patience)
    return seen


def nothing_yet(browser, _):
    seen = until(browser, lambda seen: seen["state"] == "live")
    assert set(seen["counts"].values()) == {0}, seen["counts"]
    assert "No device has come yet" in seen["empty"]["events"], seen["empty"]
    for id in ["devices", "things", "policies"]:
        assert seen[id] == [] and seen["empty"][id].startswith("no "), f"{id}: {seen['empty'][id]!r}"


def events(browser, wanted):
    """The newest events are those of one device, the newest first, and marked as new until a while later."""
    kinds = wanted["kinds"][::-1]
    shown = lambda seen: seen["events"][: len(kinds)]
    seen = until(browser, lambda seen: [event["kind"] for event in shown(seen)] == kinds)
    for event in shown(seen):
        assert event["name"] == wanted["device"], event
        assert len(event["id"]) == 64 and event["idWidth"] < 100, f"not shortened: {event}"
    assert seen["events"][0]["fresh"], "a new event is not visibly new"
    until(browser, lambda seen: not any(event["fresh"] for event in seen["events"]))


def device(browser, wanted):
    def shown(seen):
        return [item for item in seen["devices"] if item["name"] == wanted["device"]]

    seen = until(browser, lambda seen: shown(seen) and shown(seen)[0]["status"] == wanted["status"])
    (item,) = shown(seen)
    assert item["marks"] == [wanted["status"]], item
    assert wanted["why"] in item["paragraph"] and bool(wanted["why"]) == bool(item["paragraph"]), item


def thing(browser, wanted):
    def shown(seen):
        return [item for item in seen["things"] if item["name"] == wanted["thing"]]

    many = wanted["certificates"] > 1
    seen = until(browser, lambda seen: shown(seen) and shown(seen)[0]["codes"] == wanted["certificates"])
    (item,) = shown(seen)
    assert item["paragraph"] == wanted["text"], item
    assert ("certificates" in item["text"]) == many, f"warned or not: {item}"


def policy(browser, wanted):
    seen = until(browser, lambda seen: seen["policies"])
    assert f"attached to {wanted['targets']} certificate" in seen["policies"][0]["text"], seen["policies"]
    assert "Statement" not in seen["policies"][0]["text"], "a policy's document is not folded away"
    summary = browser.find_element(By.CSS_SELECTOR, "#policies summary")
    summary.send_keys(Keys.ENTER)
    await_polls(browser, 2)
    document = browser.find_element(By.CSS_SELECTOR, "#policies pre").text
    assert document == json.dumps(json.loads(document), indent=2, ensure_ascii=False), document
    assert browser.execute_script("return document.activeElement === arguments[0]", summary), "a poll loses the focus"
    summary.send_keys(Keys.ENTER)


def refusal(browser, wanted):
    def shown(seen):
        return [event for event in seen["events"] if event["kind"] == "refused" and event["name"] == wanted["device"]]

    seen = until(browser, lambda seen: shown(seen) and wanted["reason"] in shown(seen)[0]["paragraph"])
    assert shown(seen)[0]["marks"] == ["REFUSED"], shown(seen)[0]
    assert wanted["reason"] in seen["announced"] or not shown(seen)[0]["fresh"], f"announced: {seen['announced']!r}"
    assert seen["counts"]["refused"] > 0 and "refused" in seen["title"]
    clipped = browser.execute_script(
        "return [...document.querySelectorAll('#events .refused p')].filter(p => p.scrollWidth > p.clientWidth || p.scrollHeight > p.clientHeight + 2).length")
    assert clipped == 0, "a reason is cut off"
    assert browser.execute_script("return document.querySelectorAll('main img, main b b, main i').length") == 0, "a name became HTML"


def filters(browser, wanted):
    # What is new stays so for a while, and is not what this is about.
    seen = until(browser, lambda seen: not any(event["fresh"] for event in seen["events"]))
    everything = len(seen["events"])
    box = browser.find_element(By.ID, "only-refused")
    box.send_keys(Keys.SPACE)
    await_polls(browser, 2)
    seen = look(browser)
    assert [event["kind"] for event in seen["events"]] == ["refused"] * wanted["refusals"], seen["events"]
    find = browser.find_element(By.ID, "find")
    find.send_keys(wanted["word"])
    seen = look(browser)
    assert len(seen["events"]) == wanted["found"], seen["events"]
    assert seen["notes"]["events"].startswith(f"{wanted['found']} found"), seen["notes"]
    assert browser.execute_script("return document.activeElement === arguments[0]", find), "a search loses the focus"
    press(browser, Keys.ESCAPE)
    seen = look(browser)
    assert len(seen["events"]) == everything, "Escape does not bring all events back"
    assert not any(event["fresh"] for event in seen["events"]), "an event that was filtered out is called new"


def notes(browser, wanted):
    seen = until(browser, lambda seen: seen["state"] == "live")
    shown = {id: seen["notes"][id] for id in wanted}
    assert shown == wanted, shown


def many_events(browser, wanted):
    """The newest 200 of many, in which nobody was refused; refusals are there for themselves."""
    seen = until(browser, lambda seen: seen["state"] == "live")
    assert len(seen["events"]) == 200 and seen["notes"]["events"].startswith("the newest 200 of 1,"), seen["notes"]
    assert not any(event["kind"] == "refused" for event in seen["events"]), "not what is to be tested"
    assert not any(event["fresh"] for event in seen["events"]), "at first nothing is new"
    browser.find_element(By.ID, "only-refused").send_keys(Keys.SPACE)
    assert len(look(browser)["events"]) == wanted["refusals"] == look(browser)["counts"]["refused"]
    press(browser, Keys.ESCAPE)


def outage(browser, _):
    before = look(browser)
    seen = until(browser, lambda seen: seen["banner"], OUTAGE_PATIENCE)
    assert seen["state"] == "old" and seen["title"].startswith("old data"), seen["title"]
    assert "OLD DATA" in seen["banner"] and "does not answer" in seen["banner"], seen["banner"]
    assert len(seen["events"]) == len(before["events"]), "an outage loses events"
    opacity = browser.execute_script("return getComputedStyle(document.getElementById('main')).opacity")
    assert float(opacity) < 1, "old data is not dimmed"
    complains_of_nothing(browser, network=False)


def take_pictures(browser, folder, name):
    """Light and dark, wide and as narrow as a phone, where nothing may stick out."""
    for scheme in ["light", "dark"]:
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        for kind, width, height in [("wide", 1440, 900), ("phone", 400, 800)]:
            resize(browser, width, height)
            wait(browser, lambda _: browser.execute_script("return innerWidth") == width, lambda: f"the page is not {width} px wide")
            over = browser.execute_script("""
                return [document.documentElement, ...document.querySelectorAll(".scroll")]
                    .filter(element => element.scrollWidth > element.clientWidth).map(element => element.id || "page")""")
            assert not over, f"scrolls sideways at {width} px: {over}"
            await_polls(browser, 1)
            path = folder / f"{name}-{kind}-{scheme}.png"
            assert browser.save_screenshot(str(path)), f"cannot write {path}"
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    resize(browser, 1920, 1080)


LOOKS = {
    "nothing yet": nothing_yet,
    "events": events,
    "device": device,
    "thing": thing,
    "policy": policy,
    "refusal": refusal,
    "filters": filters,
    "notes": notes,
    "the newest events of many": many_events,
    "an outage": outage,
}


if __name__ == "__main__":
    main()
