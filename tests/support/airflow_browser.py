"""Airflow's UI in the system's Chromium: signed in by its own page, themed by its own menu."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urljoin

from browser import find_chromium

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from playwright.sync_api import Browser, Frame, Locator, Page

__all__ = [
    "choose_theme",
    "open_browser",
    "open_dialog",
    "open_models",
    "read_table",
    "send",
    "serious_faults",
    "sign_in",
    "tab_stops",
    "trigger",
]

#: Airflow's own pages ask for a dozen things of a server that shares two cores with a scheduler.
PATIENCE_MILLISECONDS = 60_000
SIZE: Any = {"width": 1400, "height": 1000}


@contextmanager
def open_browser() -> Iterator[Browser]:
    """A headless Chromium; skips the test where there is none, except in CI."""
    from playwright.sync_api import sync_playwright

    program = find_chromium()
    with sync_playwright() as playwright:
        options = ["--no-sandbox", "--no-proxy-server", "--disable-dev-shm-usage"]
        browser = playwright.chromium.launch(executable_path=program, args=options)
        try:
            yield browser
        finally:
            browser.close()


def sign_in(browser: Browser, url: str, user: str, password: str) -> Page:
    """A page of a profile of its own, whose user has signed in as people do."""
    context = browser.new_context(
        base_url=url, viewport=SIZE, color_scheme="light", locale="en-GB", timezone_id="UTC", reduced_motion="reduce"
    )
    context.set_default_timeout(PATIENCE_MILLISECONDS)
    page = context.new_page()
    page.goto("/")
    page.locator("input[name=username]").fill(user)
    page.locator("input[name=password]").fill(password)
    page.get_by_role("button", name="Sign in").click()
    _navigation(page).wait_for()
    return page


def open_models(page: Page) -> Frame:
    """Go to the Models page, as it is now, by Airflow's navigation; returns the frame in which Airflow shows it."""
    # Behind another page a browser draws one picture a second, and what waits for a menu to stand still waits long.
    page.bring_to_front()
    # From elsewhere: the page shows what was when it was opened, and Airflow opens nothing that is open.
    page.goto(urljoin(page.url, "/"))
    _navigation(page).click()
    shown = page.wait_for_selector("iframe[title=Models]").content_frame()
    assert shown is not None
    shown.wait_for_selector("#production")
    return shown


def choose_theme(page: Page, name: str) -> None:
    """Choose, in Airflow's menu of the user, ``Light Mode`` or ``Dark Mode``."""
    page.get_by_role("button", name="User").click()
    page.get_by_role("menuitem", name="Appearance").click()
    page.get_by_role("menuitemradio", name=name).click()
    page.keyboard.press("Escape")


def open_dialog(frame: Frame, label: str, reason: str) -> Locator:
    """Press an action's button and give a reason; returns the dialog, which is yet to be sent."""
    frame.get_by_role("button", name=label, exact=True).click()
    dialog = frame.get_by_role("dialog")
    dialog.get_by_label("Reason").fill(reason)
    return dialog


def send(frame: Frame, dialog: Locator) -> str:
    """Send an action's dialog; returns the id of the run that the page then says it has started."""
    dialog.locator("button[type=submit]").click()
    said = frame.get_by_role("status").get_by_role("link")
    said.wait_for()
    return said.inner_text()


def trigger(page: Page, dag_id: str, fields: Mapping[str, str], choices: Mapping[str, str]) -> str:
    """Fill in Airflow's own form of a DAG and send it; returns the id of the run.

    Args:
        page: signed in.
        dag_id: of the DAG.
        fields: text by parameter.
        choices: what to type to find an entry of a list, by parameter.
    """
    page.goto(f"/dags/{dag_id}")
    page.get_by_test_id("trigger-dag-button").click()
    form = page.get_by_role("dialog")
    for name, text in fields.items():
        _unfolded(form, f"[name=element_{name}]").fill(text)
    for name, text in choices.items():
        _unfolded(form, f"#element_{name} [role=combobox]").focus()
        page.keyboard.type(text)
        page.keyboard.press("Enter")
    form.get_by_role("button", name="Trigger", exact=True).click()
    page.wait_for_url(f"**/dags/{dag_id}/runs/*")
    return unquote(page.url.rpartition("/")[2])


def _unfolded(form: Locator, selector: str) -> Locator:
    """A field of Airflow's form, in its section, for which Airflow closes another one."""
    field = form.locator(selector)
    field.wait_for(state="attached")
    section = field.locator("xpath=ancestor::*[@data-scope='accordion' and @data-part='item'][1]")
    heading = section.locator("button[data-part=item-trigger]").first
    if heading.get_attribute("aria-expanded") == "false":
        heading.click()
    field.wait_for(state="visible")
    return field


def read_table(frame: Frame, selector: str) -> list[list[str]]:
    """What stands in the cells of a table's body, row by row, lines joined by blanks."""
    rows = frame.locator(f"{selector} tbody tr")
    cells = "rows => rows.map(row => [...row.cells].map(cell => cell.innerText.replace(/\\s+/g, ' ').trim()))"
    found: list[list[str]] = rows.evaluate_all(cells)
    return found


def serious_faults(page: Page) -> Mapping[str, list[str]]:
    """Serious and critical faults that axe-core finds in a page, with where."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page).response["violations"]
    return {
        one["id"]: [node["html"] for node in one["nodes"]] for one in found if one["impact"] in {"serious", "critical"}
    }


def tab_stops(page: Page, limit: int = 200) -> list[dict[str, Any]]:
    """What Tab leads to, from the beginning of a page to its end: ``name``, and whether the focus can be seen."""
    page.evaluate("() => { document.activeElement.blur(); window.scrollTo(0, 0); }")
    stops: list[dict[str, Any]] = []
    for _ in range(limit):
        page.keyboard.press("Tab")
        stop: dict[str, Any] | None = page.evaluate(_FOCUSED)
        if stop is None or stop in stops:
            break
        stops.append(stop)
    return stops


#: The focused element by its place in the page; outlines of browsers' own are ``auto``.
_FOCUSED = """() => {
    const focused = document.activeElement;
    if (!focused || focused === document.body) return null;
    const style = getComputedStyle(focused);
    return {
        place: [...document.querySelectorAll("*")].indexOf(focused),
        name: focused.ariaLabel || focused.innerText || focused.name || focused.tagName,
        visible: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2,
    };
}"""


def _navigation(page: Page) -> Locator:
    return page.get_by_role("link", name="Models", exact=True).first
