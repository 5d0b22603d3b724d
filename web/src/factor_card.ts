/** One factor: its control, where its point is, and what moves it. */

import { ball } from "./ball.ts";
import { coordinates, degrees, short, type Choose, type Control } from "./control.ts";
import { dial } from "./dial.ts";
import { button, html, set } from "./dom.ts";
import { priorPart, type Latent } from "./latent.ts";
import { isSphere, nameOf, type Factor } from "./manifest.ts";
import type { FactorPosterior } from "./posterior.ts";
import { angleOf, type Vector } from "./sphere.ts";
import { sliders } from "./sliders.ts";
import { animate, Walk } from "./walk.ts";

export interface FactorCard {
  readonly element: HTMLElement;
  mark(posterior: FactorPosterior | null): void;
}

const COLLAPSED = "Collapsed: this factor says next to nothing of the image.";

export function factorCard(
  factor: Factor,
  place: number,
  latent: Latent,
  collapsed: boolean,
): FactorCard {
  const name = nameOf(factor);
  const label = `${name}, factor ${place + 1}`;
  const where = html("output", { class: "where" });
  const noted = html("p", { class: "noted", hidden: true });
  let stop: (() => void) | null = null;
  let posterior: FactorPosterior | null = null;

  /** A hand on a control ends the walk. */
  const choose: Choose = (point) => {
    halt();
    latent.setPart(factor, point);
  };
  const control = controlOf(factor, label, choose);
  const walk = button("Walk", `Walk at random along great circles of ${label}`, () => {
    if (stop) return halt();
    const path = new Walk();
    stop = animate((seconds) => {
      latent.setPart(factor, path.step(latent.part(factor), seconds));
    });
    set(walk, { "aria-pressed": "true" });
    walk.textContent = "Pause";
  });
  set(walk, { "aria-pressed": "false" });
  const draw = button("Draw", `Draw ${label} from the prior`, () => choose(priorPart(factor)));
  const toMean = button("Posterior mean", `Move ${label} to the posterior's mean`, () => {
    if (posterior) choose(posterior.mean);
  });
  toMean.hidden = true;

  function halt(): void {
    stop?.();
    stop = null;
    set(walk, { "aria-pressed": "false" });
    walk.textContent = "Walk";
  }

  function show(): void {
    const point = latent.part(factor);
    control.show(point);
    where.value = whereabouts(point, factor);
  }

  latent.onChange(show);
  show();
  return {
    element: html(
      "section",
      { class: "card factor", "aria-label": label, "data-factor": place },
      html("header", {}, html("h2", {}, name), html("small", {}, familyOf(factor)), where),
      ...(collapsed ? [html("p", { class: "collapsed" }, COLLAPSED)] : []),
      control.element,
      ...(control.hint ? [html("p", { class: "hint" }, control.hint)] : []),
      noted,
      html("div", { class: "acts" }, ...(isSphere(factor) ? [walk] : []), draw, toMean),
    ),
    mark(found) {
      posterior = found;
      control.mark(found);
      noted.textContent = found ? note(factor, found) : "";
      noted.hidden = !found;
      toMean.hidden = !found;
    },
  };
}

function controlOf(factor: Factor, label: string, choose: Choose): Control {
  if (isSphere(factor) && factor.dim === 1) return dial(label, choose);
  if (isSphere(factor) && factor.dim === 2) return ball(label, choose);
  return sliders(label, factor, choose);
}

function familyOf(factor: Factor): string {
  const names: Record<string, string> = {
    vmf: "von Mises-Fisher",
    "power-spherical": "power spherical",
    "spherical-cauchy": "spherical Cauchy",
    normal: `normal, ${factor.covariance} covariance`,
  };
  return names[factor.family] ?? factor.family;
}

/** Where a point is, where that is said in a few characters. */
function whereabouts(point: Vector, factor: Factor): string {
  if (isSphere(factor) && factor.dim === 1) return degrees(angleOf(point));
  return point.length <= 4 ? coordinates(point) : "";
}

/** Direction and concentration, or mean and deviations, in words. */
function note(factor: Factor, { mean, concentration, deviations }: FactorPosterior): string {
  const centre = whereabouts(mean, factor) || "marked on the sliders";
  if (concentration !== undefined) {
    return `Posterior: direction ${centre}, concentration ${concentration.toPrecision(3)}`;
  }
  const [least, most] = [Math.min(...deviations!), Math.max(...deviations!)].map(short);
  const spread = least === most ? least : `${least} to ${most}`;
  return `Posterior: mean ${centre}, standard deviation ${spread}`;
}
