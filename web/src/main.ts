/** The explorer: a bundle beside the page, decoded in the browser. */

import "./style.css";
import { Bundle, type Encoded } from "./bundle.ts";
import { decodeChanges, type Shown } from "./decoding.ts";
import { html } from "./dom.ts";
import { factorCard } from "./factor_card.ts";
import { gallery } from "./gallery.ts";
import { imagePanel } from "./image_panel.ts";
import { Latent } from "./latent.ts";
import { hasCollapsed, nameOf, type Manifest } from "./manifest.ts";
import { Problem } from "./problem.ts";
import { stage } from "./stage.ts";

declare global {
  interface Window {
    /** What the page shows, for scripts to read. */
    sxvae?: { shown: Shown | null; decoded: number; encoded: () => Encoded | null };
  }
}

const page = document.getElementById("page")!;
const problem = html("p", { class: "problem", role: "alert", hidden: true });

/** Say what went wrong, in place. */
function fail(error: unknown): void {
  console.error(error);
  problem.textContent =
    error instanceof Problem ? error.message : `The page failed unexpectedly: ${String(error)}`;
  problem.hidden = false;
}

function title({ factors, input_shape: shape, provenance }: Manifest): HTMLElement {
  const [channels, height, width] = shape;
  const size = `${width} × ${height} pixels${channels === 3 ? " in colour" : ""}`;
  const ambient = factors.reduce((sum, factor) => sum + factor.ambient, 0);
  const facts = [provenance?.dataset, size, `${ambient} latent numbers`].filter(Boolean);
  return html(
    "header",
    { class: "title" },
    html("h1", {}, factors.map(nameOf).join(" × ")),
    html("p", {}, facts.join(" · ")),
  );
}

async function start(): Promise<void> {
  const bundle = await Bundle.load("bundle");
  const { manifest } = bundle;
  const latent = new Latent(manifest);
  const picture = stage(latent, manifest.input_shape);
  const cards = manifest.factors.map((factor, place) =>
    factorCard(factor, place, latent, hasCollapsed(manifest, place)),
  );
  const image = imagePanel(
    bundle,
    latent,
    (posteriors) => {
      problem.hidden = true;
      cards.forEach((card, i) => card.mark(posteriors[i]!));
    },
    fail,
  );
  document.title = `${manifest.factors.map(nameOf).join(" × ")}, sxvae explorer`;
  page.replaceChildren(
    title(manifest),
    problem,
    html(
      "div",
      { class: "columns" },
      html("div", { class: "aside" }, picture.element, image.element),
      html(
        "div",
        { class: "factors" },
        ...cards.map(({ element }) => element),
        gallery(bundle, latent, fail),
      ),
    ),
  );
  const state = { shown: null as Shown | null, decoded: 0, encoded: image.encoded };
  window.sxvae = state;
  decodeChanges(
    bundle,
    latent,
    (shown) => {
      picture.show(shown);
      state.shown = shown;
      state.decoded += 1;
      document.documentElement.dataset["state"] = "ready";
    },
    fail,
  );
}

start().catch((error: unknown) => {
  page.replaceChildren(html("h1", {}, "sxvae explorer"), problem);
  document.documentElement.dataset["state"] = "failed";
  fail(error);
});
