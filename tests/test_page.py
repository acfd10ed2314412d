"""The caption page in a real browser: what stands on it, what a screen reader is told, and that it helps itself."""

import json
import re
import signal
import subprocess
import sys
import time

import pytest
import soundfile
from selenium.webdriver.common.keys import Keys

from asr.bundle import DEFAULT
from asr.client.captions import Final, Partial
from asr.client.server import CaptionServer
from asr.decoding.hypothesis import Word
from tests import browser, sound_server
from tests.browser import until
from tests.test_live import ROOT, next_told, patience

LINES = "return [...document.querySelectorAll('#lines p .text')].map((line) => line.textContent)"
PARTIAL = "return document.getElementById('partial').hidden ? '' : document.querySelector('#partial .text').textContent"
STATE = "return document.getElementById('state').dataset.state"
NEWEST = "return document.getElementById('newest').hidden ? '' : document.getElementById('newest').textContent"
TOP = "return document.getElementById('captions').scrollTop"


@pytest.fixture(scope="module")
def chromium():
    """One browser for all tests; each opens its own server's page, of which nothing is known before."""
    if browser.missing():
        pytest.skip(f"needs a browser: apt install {browser.missing()}")
    with browser.chromium() as driver:
        yield driver


@pytest.fixture
def page(chromium):
    """Opens a server's page with a query and waits until it is live; in the end no script may have failed in it and nothing be refused."""
    def opened(server: CaptionServer, query: str = ""):
        chromium.get(server.address + query)
        until(lambda: chromium.execute_script(STATE) == "live")
        return chromium

    yield opened
    told = [line for line in chromium.get_log("browser") if line["source"] != "network" and "WebSocket" not in line["message"]]
    assert told == []                # a server that is away is told by the browser itself


def words(text: str, confidence: float = 0.9) -> tuple[Word, ...]:
    """All at once."""
    return tuple(Word(word, 1, 2, confidence) for word in text.split())


def final(text: str, confidence: float = 0.9) -> Final:
    """A final of these words."""
    return Final(words(text, confidence), 1, 2, "pause")


def test_finals_are_announced_and_partials_are_not(page, server):
    """A final stands in the polite live region, once; a partial outside of it, hidden from screen readers, its open end marked."""
    server.show(final("said before"))
    driver = page(server)
    server.show(Partial(words("good morning every one"), 2))
    until(lambda: driver.execute_script(PARTIAL) == "good morning every one")
    assert driver.execute_script("return document.querySelector('#partial .open').textContent") == "every one"
    assert driver.execute_script("return getComputedStyle(document.querySelector('#partial .open')).textDecorationLine") == "underline"
    assert driver.execute_script("return document.querySelector('#partial').closest('[aria-live], [role=log]')") is None
    assert driver.execute_script("return document.getElementById('partial').getAttribute('aria-hidden')") == "true"
    until(lambda: driver.execute_script("return document.getElementById('lines').getAttribute('aria-live')") == "polite")
    assert driver.execute_script(LINES) == ["said before"]
    server.show(final("good morning everyone"))
    until(lambda: driver.execute_script(LINES) == ["said before", "good morning everyone"])
    assert driver.execute_script(PARTIAL) == ""
    assert driver.execute_script("return document.querySelectorAll('[aria-live=polite], [aria-live=assertive]').length") == 1


def test_the_address_sets_the_page(page, server):
    """A browser source is set by its address alone: transparent, of a size, with the newest lines only and no controls."""
    for number in range(6):
        server.show(final(f"line {number}", 0.2))
    driver = page(server, "?theme=transparent&size=48&lines=2&width=50&controls=0&unsure=0")
    style = "const style = getComputedStyle(document.querySelector(arguments[0])); return style[arguments[1]]"
    assert driver.execute_script(style, "body", "backgroundColor") == "rgba(0, 0, 0, 0)"
    assert driver.execute_script(style, "#captions", "fontSize") == "64px"                            # 48 pt
    assert driver.execute_script(style, "#captions", "width") == f"{driver.execute_script('return innerWidth') / 2:g}px"
    assert driver.execute_script(style, "#bar", "display") == "none"
    assert driver.execute_script(style, ".unsure", "textDecorationLine") == "none"
    box = "const box = document.querySelector(arguments[0]).getBoundingClientRect(); return [box.top, box.bottom]"
    top, bottom = driver.execute_script(box, "#captions")
    assert bottom - top == pytest.approx(2 * 1.4 * 64, abs=1)
    assert driver.execute_script(box, "#lines p:nth-child(5)")[0] == pytest.approx(top, abs=1)
    assert driver.execute_script(box, "#lines p:nth-child(6)")[1] == pytest.approx(bottom, abs=1)


def test_settings_are_kept_and_keys_work(page, server):
    """A choice by key or in the dialog holds after the page is opened again; a key that is typed into a field is no shortcut."""
    driver = page(server)
    start = driver.execute_script("return getComputedStyle(document.documentElement).getPropertyValue('--size')")
    body = driver.find_element("css selector", "body")
    body.send_keys("+", "t", "d")
    body.send_keys("?")
    assert driver.find_element("css selector", "#help").is_displayed()
    driver.find_element("css selector", "#help form button").click()
    driver.find_element("css selector", "[data-do=settings]").click()
    driver.find_element("css selector", "input[name=width]").send_keys("t")
    driver.find_element("css selector", "input[name=unsure]").click()
    driver.refresh()
    data = driver.execute_script("return {...document.documentElement.dataset}")
    assert {name: data[name] for name in ("theme", "times", "unsure")} == {"theme": "dark", "times": "true", "unsure": "false"}
    size = driver.execute_script("return getComputedStyle(document.documentElement).getPropertyValue('--size')")
    assert int(size.removesuffix("pt")) == int(start.removesuffix("pt")) + 4
    driver.execute_script("localStorage.clear()")


def test_who_reads_back_is_not_pulled_down(page, server):
    """New lines come below what is read and are counted on a button, which leads to the newest; from there on it follows again."""
    for number in range(40):
        server.show(final(f"line {number}"))
    driver = page(server)
    until(lambda: len(driver.execute_script(LINES)) == 40)
    until(lambda: driver.execute_script(TOP) > 500)          # it follows
    assert driver.execute_script(NEWEST) == ""
    driver.find_element("css selector", "body").send_keys(Keys.HOME)
    until(lambda: driver.execute_script(NEWEST) == "Newest ↓")
    until(lambda: driver.execute_script(TOP) == 0)
    for number in range(3):
        server.show(Partial(words("more of it"), 0))
        server.show(final(f"more {number}"))
    until(lambda: driver.execute_script(NEWEST) == "3 new ↓")
    assert driver.execute_script(TOP) == 0
    driver.find_element("id", "newest").click()
    end = "const box = document.getElementById('captions'); return box.scrollHeight - box.clientHeight - box.scrollTop"
    until(lambda: driver.execute_script(end) < 2)
    assert driver.execute_script(NEWEST) == ""
    server.show(final("the newest"))
    until(lambda: driver.execute_script(LINES)[-1] == "the newest")
    assert driver.execute_script(end) < 2


def test_it_connects_again_by_itself(page):
    """When the program ends the page says so and keeps its lines; when another begins it goes on with that one's."""
    first = CaptionServer("127.0.0.1", 0)
    port = int(re.search(r":(\d+)/", first.address)[1])
    first.start()
    first.show(final("before"))
    driver = page(first)
    first.close()
    until(lambda: driver.execute_script(STATE) == "ended")
    assert "waiting" in driver.find_element("id", "state").text
    second = CaptionServer("127.0.0.1", port)
    second.start()
    try:
        second.show(final("after"))
        until(lambda: driver.execute_script(LINES) == ["before", "after"])
        assert driver.execute_script(STATE) == "live"
    finally:
        second.close()


def test_a_page_that_is_cut_off_connects_again(chromium, page, server, monkeypatch):
    """A socket that nothing comes through, and that does not say so, is given up after a while; one that lives is kept."""
    monkeypatch.setattr("asr.client.server.ALIVE_S", 0.1)
    hasten = "const set = setTimeout; window.setTimeout = (act, ms) => set(act, ms === 40000 ? 2000 : ms)"
    script = chromium.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": hasten})
    page(server)
    [first] = server._feed.viewers
    time.sleep(4)
    assert server._feed.viewers == {first}
    monkeypatch.setattr("asr.client.server.ALIVE_S", 3600.0)
    until(lambda: server._feed.viewers and first not in server._feed.viewers)
    chromium.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", script)


def test_an_address_of_before(page):
    """Where a token is needed, a page of an earlier one says that it is to be opened anew, and stops trying."""
    first = CaptionServer("0.0.0.0", 0)
    port = int(re.search(r":(\d+)/", first.address)[1])
    first.start()
    driver = page(first)
    first.close()
    second = CaptionServer("0.0.0.0", port)
    second.start()
    try:
        until(lambda: driver.execute_script(STATE) == "refused")
        assert "open the one that asr live printed" in driver.find_element("id", "state").text
    finally:
        second.close()


@pytest.fixture
def microphone():
    """A sound server whose microphone hears what it plays; skips where it or the shipped bundle is not there."""
    if sound_server.missing():
        pytest.skip(f"needs a sound server: apt install {sound_server.missing()}")
    if not DEFAULT.is_dir():
        pytest.skip("needs the shipped bundle asr/models/english")
    with sound_server.SoundServer() as running:
        yield running


def test_the_page_shows_what_the_microphone_hears(chromium, microphone, recordings, tmp_path):
    """`asr live --web` as a user runs it: the words on the page are those on standard output, live, and the saved file has them."""
    samples, rate_hz = soundfile.read(recordings / "sample.flac")
    soundfile.write(tmp_path / "played.wav", samples[:10 * rate_hz], rate_hz)
    program = subprocess.Popen([sys.executable, "-m", "asr", "live", "--web", "--port", "0"], env=microphone.environment, cwd=ROOT,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    with program:
        try:
            with patience(program):
                assert next_told(program.stderr).startswith("ready in ")
                address = re.fullmatch(r"captions at (http://127\.0\.0\.1:\d+/)\n", next_told(program.stderr))[1]
            chromium.get(address)
            chromium.execute_script("window.partials = 0; new MutationObserver(() => window.partials++).observe("
                                    "document.getElementById('partial'), {subtree: true, childList: true, characterData: true})")
            microphone.play(tmp_path / "played.wav")
            time.sleep(2)                                    # the pause that ends the utterance
            until(lambda: chromium.execute_script(LINES), limit_s=60)
            until(lambda: saved(chromium) == " ".join(chromium.execute_script(LINES)).split())
            program.send_signal(signal.SIGINT)
            out, _err = program.communicate(timeout=60)
            until(lambda: chromium.execute_script(STATE) == "ended")
        finally:
            program.kill()
    assert program.returncode == 0
    assert len(out.split()) > 3
    assert chromium.execute_script(LINES) == out.splitlines()
    assert chromium.execute_script("return window.partials") > 2


def saved(driver) -> list[str]:
    """The words of the file that the page offers."""
    fetch = "const done = arguments[0]; fetch(document.querySelector('a[data-form=json]').href).then((file) => file.text()).then(done)"
    return [word["text"] for word in json.loads(driver.execute_async_script(fetch))["words"]]
