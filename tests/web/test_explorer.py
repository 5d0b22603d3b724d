"""The explorer in headless Chromium: what it shows is what the Python runtime computes."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import sxvae_runtime
from tests.web.conftest import HOSTS, Explore, Explorer, Exported, Website

FIXTURES = Path(__file__).parent.parent / "sxvae_runtime" / "fixtures"
TOLERANCE = 1e-4


def _equals_the_runtime(explorer: Explorer, bundle: Path) -> NDArray[np.float32]:
    """Returns the latent vector that is shown."""
    z, image = explorer.shown()
    expected = sxvae_runtime.load(bundle).decode(z[None]).ravel()
    np.testing.assert_allclose(image, expected, rtol=0, atol=TOLERANCE)
    return z


def _is_drawn(colours: NDArray[np.float64], image: NDArray[np.float32]) -> None:
    expected = np.broadcast_to(image.transpose(1, 2, 0).clip(0, 1), colours.shape)
    np.testing.assert_allclose(colours, expected, atol=0.5 / 255 + 1e-6)


def _drag(explorer: Explorer, index: int, to: tuple[float, float], steps: int = 20) -> None:
    """Drag from the middle of a factor's ball or dial, by shares of its half width."""
    box = explorer.factor(index).locator("svg").bounding_box()
    assert box is not None
    half = box["width"] / 2
    x, y = box["x"] + half, box["y"] + half
    mouse = explorer.page.mouse
    mouse.move(x, y)
    mouse.down()
    mouse.move(x + to[0] * half, y + to[1] * half, steps=steps)
    mouse.up()


@pytest.mark.parametrize("host", HOSTS)
def test_a_dragged_ball_shows_what_the_runtime_decodes(
    explore: Explore, exported: Exported, host: str
) -> None:
    """The first factor of this model is S^4, the second S^2; the network is cut."""
    explorer = explore(exported.folder, host)
    bundle = exported.folder / "bundle"
    before, picture = _equals_the_runtime(explorer, bundle), explorer.shown()[1]
    explorer.factor(1).scroll_into_view_if_needed()
    _drag(explorer, 1, (0.4, -0.3))
    after = _equals_the_runtime(explorer, bundle)
    assert np.abs(explorer.shown()[1] - picture).max() > 10 * TOLERANCE
    np.testing.assert_array_equal(np.delete(after, [5, 6, 7]), np.delete(before, [5, 6, 7]))
    assert np.linalg.norm(after[5:8]) == pytest.approx(1, abs=1e-6)
    assert np.abs(after[5:8] - before[5:8]).max() > 0.1
    _is_drawn(explorer.colours(".stage canvas"), explorer.shown()[1].reshape(1, 8, 8))
    assert explorer.foreign == []


def test_it_loads_and_decodes_quickly(
    explore: Explore, exported: Exported, capsys: pytest.CaptureFixture[str]
) -> None:
    """Best of a few, each with an empty cache, since other tests run beside this one."""
    loads, rates = [], []
    for _ in range(4):
        explorer = explore(exported.folder)
        loads.append(explorer.seconds)
        explorer.factor(1).scroll_into_view_if_needed()
        decoded, start = explorer.evaluate("sxvae.decoded"), time.perf_counter()
        _drag(explorer, 1, (0.5, 0.5), steps=100)
        rates.append((explorer.evaluate("sxvae.decoded") - decoded) / (time.perf_counter() - start))
        if min(loads) < 3 and max(rates) >= 30:
            break
    with capsys.disabled():
        print(f"\nloaded in {min(loads):.2f} s, {max(rates):.0f} pictures a second while dragging")
    assert min(loads) < 3
    assert max(rates) >= 30


def test_a_ball_has_a_back_and_a_dial_turns(explore: Explore, website: Website) -> None:
    """S^2 x S^1; the dial's angle grows against the clock."""
    bundle = FIXTURES / "bundle_v1"
    explorer = explore(website(bundle))
    point = explorer.factor(0).locator(".point")
    _drag(explorer, 0, (0.3, 0.0))
    assert point.get_attribute("data-side") == "front"
    front = _equals_the_runtime(explorer, bundle)[:3]
    _drag(explorer, 0, (1.45, 0.0))  # past the rim, around the back
    assert point.get_attribute("data-side") == "back"
    back = _equals_the_runtime(explorer, bundle)[:3]
    assert front @ back < 0
    _drag(explorer, 1, (0.0, -0.6))
    np.testing.assert_allclose(_equals_the_runtime(explorer, bundle)[3:], [0, 1], atol=1e-6)
    assert explorer.factor(1).locator("output").inner_text() == "90°"


def test_collapsed_factors_are_marked(
    explore: Explore, exported: Exported, website: Website
) -> None:
    """As the test metrics in the manifest say; bundles of older versions have none."""
    content = json.loads((exported.folder / "bundle" / "manifest.json").read_text())
    collapsed = content["provenance"]["evaluation"]["collapsed"]
    assert any(collapsed)
    explorer = explore(exported.folder)
    for index, value in enumerate(collapsed):
        assert explorer.factor(index).get_by_text("says next to nothing").count() == value
    older = explore(website(FIXTURES / "bundle_v1"))
    assert older.page.get_by_text("says next to nothing").count() == 0


def test_keys_move_every_control(explore: Explore, website: Website) -> None:
    """From control to control with Tab alone: S^2, S^1, and their buttons."""
    bundle = FIXTURES / "bundle_v1"
    explorer = explore(website(bundle))
    keyboard = explorer.page.keyboard
    focused = "document.activeElement.getAttribute('aria-label')"
    reached = {}
    before = explorer.shown()[0]
    for _ in range(12):
        keyboard.press("Tab")
        label = explorer.evaluate(focused)
        if label and ("circle" in label or "sphere" in label):
            assert explorer.evaluate("document.activeElement.getAttribute('role')") == "slider"
            start = _equals_the_runtime(explorer, bundle)
            keyboard.press("ArrowLeft")
            end = _equals_the_runtime(explorer, bundle)
            reached[label] = float(start @ end - 1)  # the other factor's product is 1
    assert len(reached) == 2
    circle = next(value for label, value in reached.items() if "circle" in label)
    assert circle == pytest.approx(np.cos(np.radians(5)), abs=1e-5)
    assert np.abs(explorer.shown()[0] - before).max() > 0.01
    value = explorer.factor(1).get_by_role("slider").get_attribute("aria-valuenow")
    keyboard.press("Shift+Tab")
    assert value is not None


def test_sliders_keep_the_sphere(explore: Explore, website: Website) -> None:
    """R^2 x S^3 x R^2: an axis of the sphere moves the others, one of R^2 does not."""
    bundle = FIXTURES / "bundle_v1_full"
    explorer = explore(website(bundle))
    start = _equals_the_runtime(explorer, bundle)
    axis = explorer.factor(1).get_by_role("slider").nth(1)
    axis.focus()
    explorer.page.keyboard.press("Home")
    np.testing.assert_allclose(_equals_the_runtime(explorer, bundle)[2:6], [0, -1, 0, 0], atol=1e-6)
    explorer.page.keyboard.press("ArrowRight")
    moved = _equals_the_runtime(explorer, bundle)
    assert moved[3] == pytest.approx(-0.99, abs=1e-6)
    assert np.linalg.norm(moved[2:6]) == pytest.approx(1, abs=1e-6)
    np.testing.assert_array_equal(np.delete(moved, np.s_[2:6]), np.delete(start, np.s_[2:6]))
    explorer.factor(2).get_by_role("slider").first.focus()
    explorer.page.keyboard.press("End")
    end = _equals_the_runtime(explorer, bundle)
    np.testing.assert_array_equal(end[:7], [*moved[:6], 4])
    assert end[7] == moved[7]


def test_walks_and_prior_draws(explore: Explore, website: Website) -> None:
    bundle = FIXTURES / "bundle_v1_full"
    explorer = explore(website(bundle))
    start = _equals_the_runtime(explorer, bundle)
    walk = explorer.factor(1).get_by_role("button", name="Walk")
    walk.click()
    explorer.page.wait_for_function(
        "start => Math.abs(sxvae.shown.z[2] - start) > 0.05", arg=float(start[2])
    )
    pause = explorer.factor(1).get_by_role("button", name="Pause")
    assert pause.get_attribute("aria-pressed") == "true"
    pause.click()
    walked = _equals_the_runtime(explorer, bundle)
    assert np.linalg.norm(walked[2:6]) == pytest.approx(1, abs=1e-6)
    np.testing.assert_array_equal(np.delete(walked, np.s_[2:6]), np.delete(start, np.s_[2:6]))
    assert explorer.factor(0).get_by_role("button", name="Walk").count() == 0
    explorer.factor(0).get_by_role("button", name="Draw").click()
    drawn = _equals_the_runtime(explorer, bundle)
    np.testing.assert_array_equal(drawn[2:], walked[2:])
    assert (drawn[:2] != walked[:2]).all()
    explorer.page.get_by_role("button", name="Prior sample", exact=True).click()
    assert (_equals_the_runtime(explorer, bundle) != drawn).all()
    explorer.page.get_by_role("button", name="Show prior sample 3").click()
    chosen = _equals_the_runtime(explorer, bundle)
    expected = sxvae_runtime.load(bundle).decode(chosen[None])[0]
    _is_drawn(explorer.colours(".tiles canvas", 2), expected)


def _posterior(explorer: Explorer) -> dict[str, NDArray[np.float32]]:
    found = explorer.evaluate(
        "Object.fromEntries(Object.entries(sxvae.encoded()).map(([k, v]) => [k, Array.from(v)]))"
    )
    return {name: np.array(values, np.float32) for name, values in found.items()}


def test_a_picture_is_encoded_as_the_runtime_does(
    explore: Explore, website: Website, tmp_path: Path
) -> None:
    """S^2 x R^2 x S^4; a picture of the input's own size is taken as it is."""
    bundle = FIXTURES / "bundle_v1_sampler"
    app = sxvae_runtime.load(bundle)
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "picture.png")
    explorer = explore(website(bundle))
    file = explorer.page.locator("input[type=file]")
    file.set_input_files(tmp_path / "picture.png")
    explorer.page.wait_for_selector(".found:not([hidden])")
    for x in (pixels[None, None], 255 - pixels[None, None]):
        expected, found = app.encode(x), _posterior(explorer)
        np.testing.assert_allclose(found["mean_direction"], expected.mean_direction[0], atol=1e-4)
        np.testing.assert_allclose(found["concentration"], expected.concentration[0], rtol=1e-4)
        shown = _equals_the_runtime(explorer, bundle)
        np.testing.assert_array_equal(shown, found["mean_direction"])
        for index, value in zip((0, 2), expected.concentration[0], strict=True):
            note = explorer.factor(index).locator(".noted").inner_text()
            assert float(note.split("concentration ")[1]) == pytest.approx(value, rel=0.01)
        explorer.page.get_by_label("Invert").check()
        explorer.shown()
    assert explorer.factor(0).locator(".mean").count() == 1
    assert explorer.factor(0).locator(".draw").count() == 60
    explorer.page.get_by_role("button", name="Posterior sample").click()
    drawn = _equals_the_runtime(explorer, bundle)
    assert (drawn != shown).all()
    for part in (drawn[:3], drawn[5:]):
        assert np.linalg.norm(part) == pytest.approx(1, abs=1e-5)
    explorer.factor(0).get_by_role("button", name="Posterior mean").click()
    np.testing.assert_array_equal(explorer.shown()[0][:3], shown[:3])


def test_colour_and_euclidean_factors(explore: Explore, website: Website, tmp_path: Path) -> None:
    """R^3 x R^2 with images of 3 x 2 x 2, dropped onto the page."""
    bundle = FIXTURES / "bundle_v1_diagonal"
    explorer = explore(website(bundle))
    _equals_the_runtime(explorer, bundle)
    pixels = np.random.default_rng(1).integers(0, 256, (2, 2, 3), dtype=np.uint8)
    opaque = np.dstack([pixels, np.full((2, 2), 255)])
    drop = """async (data) => {
        const canvas = new OffscreenCanvas(2, 2);
        const picture = new ImageData(Uint8ClampedArray.from(data), 2, 2);
        canvas.getContext("2d").putImageData(picture, 0, 0);
        const files = new DataTransfer();
        files.items.add(new File([await canvas.convertToBlob()], "picture.png"));
        document.body.dispatchEvent(new DragEvent("drop", { dataTransfer: files, bubbles: true }));
    }"""
    explorer.page.evaluate(drop, opaque.ravel().tolist())
    explorer.page.wait_for_selector(".found:not([hidden])")
    assert explorer.page.get_by_text("Posterior sample").is_hidden()  # an old bundle: no sampler
    expected = sxvae_runtime.load(bundle).encode(pixels.transpose(2, 0, 1)[None])
    found = _posterior(explorer)
    np.testing.assert_allclose(found["mean_direction"], expected.mean_direction[0], atol=1e-4)
    assert expected.scale is not None
    np.testing.assert_allclose(found["scale"], expected.scale[0], rtol=1e-4)
    _equals_the_runtime(explorer, bundle)
    _is_drawn(explorer.colours(".stage canvas"), explorer.shown()[1].reshape(3, 2, 2))


def _lose_the_decoder(folder: Path) -> None:
    (folder / "decoder.onnx").unlink()


def _damage_the_decoder(folder: Path) -> None:
    content = bytearray((folder / "decoder.onnx").read_bytes())
    content[len(content) // 2] ^= 1
    (folder / "decoder.onnx").write_bytes(content)


def _say_of_the_decoder(folder: Path, **entries: str) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["graphs"]["decoder"].update(entries)
    (folder / "manifest.json").write_text(json.dumps(manifest))


def _cut_the_manifest(folder: Path) -> None:
    (folder / "manifest.json").write_text("{")


def _age_the_page(folder: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**manifest, "format_version": 2}))


FAULTS: dict[str, Callable[[Path], None]] = {
    "bundle/manifest.json can't be fetched (status 404)": shutil.rmtree,
    "bundle/decoder.onnx can't be fetched (status 404)": _lose_the_decoder,
    "bundle/decoder.onnx is damaged or of another bundle": _damage_the_decoder,
    "onnxruntime can't load bundle/golden.safetensors": lambda folder: _say_of_the_decoder(
        folder,
        file="golden.safetensors",
        sha256=json.loads((folder / "manifest.json").read_text())["golden"]["sha256"],
    ),
    "format 2 is newer than this page": _age_the_page,
    "bundle/manifest.json is no JSON": _cut_the_manifest,
}


@pytest.mark.parametrize("sentence", FAULTS)
def test_what_is_wrong_with_a_bundle_is_said(
    explore: Explore, website: Website, sentence: str
) -> None:
    folder = website(FIXTURES / "bundle_v1")
    FAULTS[sentence](folder / "bundle")
    explorer = explore(folder)
    alert = explorer.page.get_by_role("alert")
    assert sentence in alert.inner_text()
    assert "\n" not in alert.inner_text()
    assert explorer.page.locator(".card").count() == 0


def test_a_file_that_is_no_picture_is_refused(explore: Explore, website: Website) -> None:
    explorer = explore(website(FIXTURES / "bundle_v1"))
    explorer.page.locator("input[type=file]").set_input_files(FIXTURES / "bundle_v1/manifest.json")
    alert = explorer.page.get_by_role("alert")
    alert.wait_for()
    assert "no picture that the browser can read" in alert.inner_text()
    _equals_the_runtime(explorer, FIXTURES / "bundle_v1")


def test_a_mask_of_zeros_and_ones_is_no_black_picture(
    explore: Explore, website: Website, tmp_path: Path
) -> None:
    explorer = explore(website(FIXTURES / "bundle_v1"))
    mask = (np.random.default_rng(0).random((8, 8)) < 0.5).astype(np.uint8)
    Image.fromarray(mask).save(tmp_path / "mask.png")
    explorer.page.locator("input[type=file]").set_input_files(tmp_path / "mask.png")
    alert = explorer.page.get_by_role("alert")
    alert.wait_for()
    assert "The brightest pixel of this picture is 1 of 255" in alert.inner_text()
    assert explorer.page.locator(".found").is_hidden()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone_in_both_colour_schemes(
    explore: Explore, website: Website, scheme: str
) -> None:
    explorer = explore(
        website(FIXTURES / "bundle_v1_full"),
        color_scheme=scheme,
        viewport={"width": 390, "height": 844},
        has_touch=True,
    )
    assert explorer.evaluate("document.documentElement.scrollWidth") == 390
    explorer.evaluate("scrollTo(0, 1e6)")
    picture = explorer.page.locator(".stage canvas").bounding_box()
    assert picture is not None
    assert 0 <= picture["y"] < 100  # still in sight
    background = explorer.evaluate("getComputedStyle(document.documentElement).backgroundColor")
    brightness = np.mean([int(part) for part in background.strip("rgb()").split(",")])
    assert (brightness > 128) == (scheme == "light")
