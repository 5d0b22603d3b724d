/** Pictures of draws from the prior; one that is chosen becomes the latent vector. */

import type { Bundle } from "./bundle.ts";
import { button, html } from "./dom.ts";
import { draw } from "./images.ts";
import { prior, type Latent } from "./latent.ts";

const PICTURES = 16;

export function gallery(
  bundle: Bundle,
  latent: Latent,
  fail: (error: unknown) => void,
): HTMLElement {
  const shape = bundle.manifest.input_shape;
  const pictures = Array.from({ length: PICTURES }, (_, i) => {
    const canvas = html("canvas", { class: "picture" });
    canvas.style.setProperty("--ratio", `${shape[2]} / ${shape[1]}`);
    let z: readonly number[] = [];
    const choice = html(
      "button",
      { type: "button", "aria-label": `Show prior sample ${i + 1}` },
      canvas,
    );
    choice.addEventListener("click", () => latent.set(z));
    return {
      choice,
      show(drawn: readonly number[], image: Float32Array) {
        z = drawn;
        draw(canvas, image, shape);
      },
    };
  });

  async function fill(): Promise<void> {
    const drawn = pictures.map(() => prior(bundle.manifest));
    const images = await bundle.decode(Float32Array.from(drawn.flat()));
    const size = images.length / PICTURES;
    pictures.forEach((picture, i) => {
      picture.show(drawn[i]!, images.subarray(i * size, (i + 1) * size));
    });
  }

  const refill = (): void => void fill().catch(fail);
  refill();
  return html(
    "section",
    { class: "card gallery", "aria-label": "Prior samples" },
    html("header", {}, html("h2", {}, "Prior samples"), html("small", {}, "choose one to go there")),
    html("div", { class: "tiles" }, ...pictures.map(({ choice }) => choice)),
    html("div", { class: "acts" }, button("Draw again", "Draw other samples", refill)),
  );
}
