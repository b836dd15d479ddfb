"""The page, as somebody uses it in a browser."""

import base64
import json
import shutil

import pytest
from services import STROKES, colours, digits, drawn, file_of, rows, serving, texts

from lab.serving.records import read

api = pytest.importorskip("playwright.sync_api")
BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="needs Chromium")

PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}


@pytest.fixture(scope="module")
def browser():
    with api.sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture
def opened(browser):
    """Opens the page of a service; nothing in it may fail or ask for another place."""
    contexts = []

    def open_page(running, **how):
        context = browser.new_context(**how)
        contexts.append(context)
        page = context.new_page()
        page.faults = []
        page.on("pageerror", lambda error: page.faults.append(str(error)))
        page.on(
            "console", lambda said: page.faults.append(said.text) if said.type == "error" else None
        )
        page.on(
            "request",
            lambda asked: (
                page.faults.append(asked.url)
                if not asked.url.startswith((running.url, "data:", "blob:"))
                else None
            ),
        )
        page.goto(running.url)
        api.expect(page.locator("#model")).not_to_have_text("loading …")
        return page

    yield open_page
    for context in contexts:
        for page in context.pages:
            assert page.faults == []
        context.close()


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    folder = tmp_path_factory.mktemp("service")
    with serving(folder, digits(), "--record", "kept") as found:
        found.kept = folder / "kept"
        yield found


def draw(page, digit: str) -> None:
    box = page.locator("#board").bounding_box()
    points = [
        (box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in STROKES[digit]
    ]
    page.mouse.move(*points[0])
    page.mouse.down()
    for point in points[1:]:
        page.mouse.move(*point, steps=10)
    page.mouse.up()


def says(page, text: str) -> None:
    api.expect(page.locator("#said")).to_contain_text(text)


@pytest.mark.parametrize(
    "how", [{}, PHONE, {"color_scheme": "dark"}], ids=["desktop", "phone", "dark"]
)
def test_a_seven_that_is_drawn_is_recognised(running, opened, how):
    page = opened(running, **how)
    says(page, "Nothing is asked yet.")
    draw(page, "7")

    says(page, "7")
    api.expect(page.locator("tr.first th")).to_have_text("7")
    assert page.locator("#bars tr").count() == 10
    api.expect(page.locator("#seen")).to_be_visible()
    wide = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert wide[0] <= wide[1]  # nothing to scroll to the side
    page.get_by_role("button", name="Clear").click()
    says(page, "Nothing is asked yet.")
    api.expect(page.locator("#bars")).to_be_hidden()


def test_a_canvas_and_an_upload_of_it_are_the_same_to_the_model(running, opened):
    """One code normalises both; the page sends what is on the canvas."""
    page = opened(running)
    draw(page, "2")
    says(page, "2")
    content = page.evaluate("document.querySelector('#board').toDataURL()").partition(",")[2]
    body = base64.b64decode(content)
    drawn_one = page.locator("#seen").get_attribute("src")
    page.get_by_role("button", name="Clear").click()
    page.locator("#file").set_input_files(
        {"name": "a.png", "mimeType": "image/png", "buffer": body}
    )

    says(page, "2")
    api.expect(page.locator("#seen")).to_have_attribute("src", drawn_one)
    sent = running.predict(body, "image/png", "?show=true&draft=true")[0]
    assert drawn_one == f"data:image/png;base64,{sent['seen']}"


def test_a_photograph_that_is_uploaded_is_recognised(running, opened):
    page = opened(running)
    photograph = drawn("4", 900, ink=40, paper=215).convert("RGB")
    page.locator("#file").set_input_files(
        {"name": "a.jpg", "mimeType": "image/jpeg", "buffer": file_of(photograph, "JPEG")}
    )

    api.expect(page.locator("tr.first th")).to_have_text("4")
    page.locator("#file").set_input_files(
        {"name": "a.png", "mimeType": "image/png", "buffer": b"no"}
    )
    says(page, "No answer")
    api.expect(page.get_by_role("alert").first).to_contain_text("picture must be a whole file")
    page.faults.clear()  # Chromium says on its console that the status was 422


def test_a_picture_is_dropped_and_pasted(running, opened):
    page = opened(running)
    content = list(file_of(drawn("3")))
    move = """([kind, bytes]) => {
      const data = new DataTransfer();
      data.items.add(new File([new Uint8Array(bytes)], "a.png", { type: "image/png" }));
      const event = kind === "drop"
        ? new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true })
        : new ClipboardEvent("paste", { clipboardData: data, bubbles: true });
      document.querySelector("#board").dispatchEvent(event);
    }"""
    for kind in ("drop", "paste"):
        page.get_by_role("button", name="Clear").click()
        page.evaluate(move, [kind, content])
        api.expect(page.locator("tr.first th")).to_have_text("3")


def test_the_keyboard_alone_draws(running, opened):
    page = opened(running)
    page.keyboard.press("Tab")  # the link
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "board"
    for keys, times in (("ArrowUp", 15), (" ", 1), ("ArrowDown", 30), (" ", 1)):
        for _ in range(times):
            page.keyboard.press(keys)
    api.expect(page.locator("tr.first th")).to_have_text("1")
    api.expect(page.locator("#pen")).to_be_visible()
    page.keyboard.press("Escape")
    says(page, "Nothing is asked yet.")


def test_feedback_is_kept_by_one_click_and_a_drawing_is_recorded_once(running, opened):
    page = opened(running)
    draw(page, "9")
    page.get_by_role("group", name="What was it?").get_by_role("button", name="7").click()
    api.expect(page.locator("#judge")).to_contain_text("Kept: it was 7.")
    rows_kept = [row for batch in read(running.kept) for row in batch.to_pylist()]
    (feedback,) = [row for row in rows_kept if row["label"] == "7"]

    assert [row["predicted"] for row in rows_kept if row["id"] == feedback["id"]] == ["9", None]


def test_a_row_gets_a_form(tmp_path, opened):
    reference = json.dumps({"age": [0.0, 90.0]})
    with serving(tmp_path, rows(reference=reference)) as running:
        page = opened(running, **PHONE)
        page.get_by_label("age").fill("-4")
        page.get_by_label("weight").fill("1.5")
        page.get_by_role("button", name="Ask").click()

        says(page, "low")
        api.expect(page.locator("#unlike")).to_contain_text("age is -4, in training 0 to 90")
        api.expect(page.locator("#judge")).to_be_hidden()


def test_a_text_gets_a_box(tmp_path, opened):
    with serving(tmp_path, texts()) as running:
        page = opened(running)
        page.get_by_label("Text").fill("bad, badly bad")
        page.get_by_role("button", name="Ask").click()
        says(page, "bad")


def test_ids_of_tokens_do_where_nothing_says_what_they_stand_for(tmp_path, opened):
    with serving(tmp_path, texts(with_tokeniser=False)) as running:
        page = opened(running)
        page.get_by_label("Ids of 6 tokens").fill("2 5 5 6 6 3")
        page.get_by_role("button", name="Ask").click()
        says(page, "bad")


def test_colours_are_uploaded_not_drawn(tmp_path, opened):
    from PIL import Image

    with serving(tmp_path, colours()) as running:
        page = opened(running)
        draw(page, "7")
        says(page, "Nothing is asked yet.")
        content = file_of(Image.new("RGB", (40, 30), "blue"))
        page.locator("#file").set_input_files(
            {"name": "a.png", "mimeType": "image/png", "buffer": content}
        )
        says(page, "blue")


def test_the_token_is_asked_for(tmp_path, opened):
    with serving(tmp_path, digits(), SERVE_TOKEN="sesame") as running:  # noqa: S106
        page = opened(running)
        page.get_by_label("This service asks for its token").fill("sesame")
        page.get_by_role("button", name="Use it").click()
        draw(page, "7")
        says(page, "7")
        page.faults.clear()  # the first answer was 401


def test_the_page_for_programs_lists_all(running, opened):
    page = opened(running)
    page.get_by_role("link", name="for programs").click()
    api.expect(page.locator("h2")).to_have_count(6)
    api.expect(page.locator("pre").first).to_contain_text(f"curl {running.url}/predict")
