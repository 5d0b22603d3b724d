/** A picture of the user's: its posterior and its reconstruction. */

import type { Bundle, Encoded } from "./bundle.ts";
import { button, html, set } from "./dom.ts";
import { draw, inverted, preprocessing, readImage } from "./images.ts";
import type { Latent } from "./latent.ts";
import { posteriorOf, type FactorPosterior } from "./posterior.ts";

/** Told of the posterior of each factor when there is a picture. */
export type Mark = (posteriors: readonly FactorPosterior[]) => void;

export interface ImagePanel {
  readonly element: HTMLElement;
  /** The encoder's outputs for the picture, or null before there is one. */
  encoded(): Encoded | null;
}

export function imagePanel(
  bundle: Bundle,
  latent: Latent,
  mark: Mark,
  fail: (error: unknown) => void,
): ImagePanel {
  const shape = bundle.manifest.input_shape;
  const file = html("input", { type: "file", accept: "image/*", class: "file" });
  const invert = html("input", { type: "checkbox" });
  const input = html("canvas", { class: "picture", role: "img", "aria-label": "Your picture" });
  const output = html("canvas", { class: "picture", role: "img", "aria-label": "Reconstruction" });
  let given: Float32Array | null = null;
  let encoded: Encoded | null = null;

  async function read(files: FileList | null | undefined): Promise<void> {
    const chosen = files?.[0];
    if (!chosen) return;
    given = await readImage(chosen, shape);
    await look();
  }

  /** Encode the picture, mark its posterior and go to the posterior's mean. */
  async function look(): Promise<void> {
    if (!given) return;
    const x = invert.checked ? inverted(given) : given;
    encoded = await bundle.encode(x);
    draw(input, x, shape);
    draw(output, await bundle.decode(encoded.mean_direction), shape);
    mark(await posteriorOf(bundle, encoded));
    latent.set(encoded.mean_direction);
    set(found, { hidden: false });
  }

  async function sample(): Promise<void> {
    if (encoded) latent.set(await bundle.sample(encoded, 1));
  }

  const toMean = button("Posterior mean", "Move every factor to the posterior's mean", () => {
    if (encoded) latent.set(encoded.mean_direction);
  });
  const toDraw = button("Posterior sample", "Draw every factor from the posterior", () => {
    sample().catch(fail);
  });
  toDraw.hidden = !bundle.canSample;
  for (const canvas of [input, output]) {
    canvas.style.setProperty("--ratio", `${shape[2]} / ${shape[1]}`);
  }
  const found = html(
    "div",
    { class: "found", hidden: true },
    html(
      "div",
      { class: "pair" },
      html("figure", {}, input, html("figcaption", {}, "as the encoder sees it")),
      html("figure", {}, output, html("figcaption", {}, "reconstruction")),
    ),
    html("div", { class: "acts" }, toMean, toDraw),
  );
  const drop = html(
    "label",
    { class: "drop" },
    file,
    html("span", {}, html("b", {}, "Choose a picture"), " or drop one here"),
  );
  file.addEventListener("change", () => {
    read(file.files).catch(fail);
    file.value = ""; // the same file may be chosen again
  });
  invert.addEventListener("change", () => void look().catch(fail));
  takeDrops(drop, (files) => void read(files).catch(fail));
  return {
    element: html(
      "section",
      { class: "card image", "aria-label": "Your picture" },
      html("header", {}, html("h2", {}, "Your picture")),
      drop,
      html("label", { class: "check" }, invert, "Invert, for dark on light"),
      html("p", { class: "noted" }, preprocessing(shape)),
      found,
    ),
    encoded: () => encoded,
  };
}

/** Take files that are dropped anywhere on the page, and show that `target` is meant. */
function takeDrops(target: HTMLElement, take: (files: FileList | undefined) => void): void {
  addEventListener("dragover", (event) => {
    event.preventDefault();
    target.classList.add("over");
  });
  addEventListener("dragleave", () => target.classList.remove("over"));
  addEventListener("drop", (event) => {
    event.preventDefault();
    target.classList.remove("over");
    take(event.dataTransfer?.files);
  });
}
