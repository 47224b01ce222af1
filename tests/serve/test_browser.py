"""The pages in a real browser: typed, clicked, followed and gone back, at two widths."""

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect, sync_playwright

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="needs chromium"),
]

SIZES = {"desktop": (1280, 900), "phone": (390, 844)}
PROMPT = "Tell me about the qualifications required for a Welder."


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield made
        made.close()


@pytest.fixture(params=SIZES)
def page(request: pytest.FixtureRequest, browser: Browser, address: str) -> Iterator[Page]:
    """A page of which no request leaves the machine, that overflows nowhere and logs no error."""
    width, height = SIZES[request.param]
    context = browser.new_context(viewport={"width": width, "height": height}, base_url=address)
    made = context.new_page()
    asked: list[str] = []
    faults: list[str] = []
    made.on("request", lambda one: asked.append(one.url))
    made.on("console", lambda one: faults.append(one.text) if one.type == "error" else None)
    made.on("pageerror", lambda one: faults.append(str(one)))
    yield made
    assert {urlsplit(url).netloc for url in asked if not url.startswith("data:")} == {
        urlsplit(address).netloc
    }
    assert faults == []
    assert made.evaluate("document.documentElement.scrollWidth") <= width
    context.close()


def test_a_position_is_typed_and_a_card_followed_and_gone_back_from(page: Page) -> None:
    page.goto("/")
    page.get_by_label("Position", exact=True).fill("Registered nurse")
    page.get_by_label("Skills").fill("triage, juggling")
    page.get_by_role("button", name="Recommend").click()
    expect(page.get_by_role("heading", name=re.compile("^Next positions"))).to_be_visible()
    expect(page.get_by_text("juggling").last).to_be_visible()
    first = page.url
    card = page.locator(".card a").first
    title = card.inner_text()
    card.click()
    expect(page.get_by_label("Position", exact=True)).to_have_value(title)
    expect(page.get_by_label("Earlier positions")).to_have_value("Registered nurse")
    page.go_back()
    assert page.url == first
    expect(page.locator(".asked")).to_be_hidden()  # It is for print.
    expect(page.get_by_role("button", name="Recommend")).to_be_visible()
    shown = page.locator(".cards").inner_text()
    page.goto(first)  # The address brings the same answer back.
    assert page.locator(".cards").inner_text() == shown


def test_a_goal_alone_shows_what_leads_there_and_each_node_is_a_link(page: Page) -> None:
    page.goto("/")
    page.get_by_label("Goal").fill("Registered nurse")
    page.get_by_role("button", name="Recommend").click()
    expect(page.get_by_role("heading", name=re.compile("^What leads to"))).to_be_visible()
    node = page.locator(".ladder a").first
    title = node.inner_text()
    node.click()
    expect(page.get_by_label("Position", exact=True)).to_have_value(title)
    expect(page.get_by_role("heading", name=re.compile("^Next positions"))).to_be_visible()
    page.get_by_role("link", name="two moves ahead").click()
    expect(page.locator(".ladder li").first).to_contain_text(title)


def test_qualifications_follow_the_ranking(page: Page) -> None:
    page.goto("/?position=Registered+nurse")
    answer = page.locator("#written .answer")
    expect(answer).to_have_attribute("aria-busy", "false", timeout=60_000)
    assert answer.inner_text().strip()


def test_the_keyboard_alone_suffices_and_titles_are_suggested(page: Page) -> None:
    page.goto("/")
    page.keyboard.press("Tab")
    expect(page.get_by_text("Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(page.get_by_label("Position", exact=True)).to_be_focused()
    with page.expect_response("**/suggest*"):
        page.keyboard.type("regi")
    option = page.locator("#position-known option").first
    expect(option).to_have_attribute("value", "Registered nurse")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"position=regi"))


def test_both_models_answer_side_by_side_and_a_blind_vote_is_kept(page: Page) -> None:
    page.goto("/compare")
    page.get_by_label("Prompt").fill(PROMPT)
    page.get_by_role("button", name="Answer").click()
    for name in ("Baseline", "Fine-tuned"):
        pane = page.get_by_role("region", name=name)
        expect(pane.locator(".figures")).to_contain_text("tokens", timeout=60_000)
    page.get_by_label("Hide the models’ names, and vote").check()
    page.get_by_role("button", name="Answer").click()
    page.get_by_role("button", name="About the same").click(timeout=60_000)
    expect(page.get_by_role("status")).to_contain_text("Your vote is kept")
    expect(page.get_by_role("status")).to_contain_text("too few to judge by")
    assert "Fine-tuned" not in page.locator(".panes").inner_text()


def test_an_empty_form_says_what_to_give_and_emptied_fields_break_nothing(page: Page) -> None:
    page.goto("/")
    for label in ("Position", "Goal"):
        page.get_by_label(label, exact=True).fill("we")
        page.get_by_label(label, exact=True).fill("")
    page.get_by_role("button", name="Recommend").click()
    expect(page.get_by_role("alert")).to_contain_text("give a position, skills")


def test_what_the_forms_show_as_examples_is_answered(page: Page) -> None:
    page.goto("/")
    for label in ("Position", "Skills"):
        field = page.get_by_label(label, exact=True)
        field.fill(field.get_attribute("placeholder") or "")
    page.get_by_role("button", name="Recommend").click()
    expect(page.locator(".cards")).to_be_visible()
    expect(page.get_by_text("Not known")).to_have_count(0)
    page.goto("/compare")
    page.get_by_role("link", name="Tell me about").click()
    expect(page.get_by_label("Prompt")).to_have_value(re.compile("^Tell me about"))


def test_no_empty_qualifications_are_shown_of_what_training_never_saw(page: Page) -> None:
    with page.expect_response("**/qualifications"):
        page.goto("/?position=Juggler")
    expect(page.locator(".cards")).to_be_visible()
    page.wait_for_load_state("networkidle")
    expect(page.locator("#written")).to_be_hidden()


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/?position=Registered+nurse&skills=triage,juggling",
        "/?position=Welder&steps=2",
        "/compare?prompt=x",
        "/about",
    ],
)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_screen_readers_find_no_serious_fault(page: Page, path: str, scheme: str) -> None:
    page.emulate_media(color_scheme=scheme)
    page.goto(path)
    found = Axe().run(page).response["violations"]
    assert [one["id"] for one in found if one["impact"] in ("serious", "critical")] == []


def test_a_printed_page_has_the_answer_and_no_form(page: Page, tmp_path: Path) -> None:
    page.goto("/?position=Registered+nurse")
    page.emulate_media(media="print")
    expect(page.locator("form")).not_to_be_visible()
    expect(page.locator(".asked")).to_contain_text("position Registered nurse")
    expect(page.locator(".asked")).to_be_visible()
    expect(page.locator(".cards")).to_be_visible()
    assert page.pdf(path=tmp_path / "page.pdf").startswith(b"%PDF")
