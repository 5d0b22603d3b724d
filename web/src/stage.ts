/** The picture that is shown, and what moves all factors at once. */

import type { Shown } from "./decoding.ts";
import { button, html } from "./dom.ts";
import { draw, type Shape } from "./images.ts";
import type { Latent } from "./latent.ts";

export interface Stage {
  readonly element: HTMLElement;
  show(shown: Shown): void;
}

export function stage(latent: Latent, shape: Shape): Stage {
  const picture = html("canvas", { class: "picture", role: "img", "aria-label": "Decoded picture" });
  const pace = html("small", { class: "pace" });
  const sample = button("Prior sample", "Draw every factor from the prior", () => {
    latent.drawFromPrior();
  });
  sample.className = "primary";
  picture.style.setProperty("--ratio", `${shape[2]} / ${shape[1]}`);
  return {
    element: html(
      "section",
      { class: "card stage", "aria-label": "Picture" },
      picture,
      html("div", { class: "acts" }, sample, pace),
    ),
    show(shown) {
      draw(picture, shown.image, shape);
      pace.textContent = `decoded in ${shown.milliseconds.toFixed(1)} ms`;
    },
  };
}
