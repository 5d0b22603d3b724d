/** A circle S¹ as a dial. */

import { degrees, onArrows, onDrag, type Choose, type Control } from "./control.ts";
import { set, svg } from "./dom.ts";
import type { FactorPosterior } from "./posterior.ts";
import { angleOf, onCircle, type Vector } from "./sphere.ts";

const RADIUS = 100;

export function dial(name: string, choose: Choose): Control {
  const hand = svg("line", { class: "hand", x1: 0, y1: 0 });
  const point = svg("circle", { class: "point", r: 11 });
  const marks = svg("g", { class: "posterior" });
  const element = svg(
    "svg",
    {
      class: "round",
      viewBox: "-125 -125 250 250",
      tabindex: 0,
      role: "slider",
      "aria-label": `Angle on the circle ${name}`,
      "aria-valuemin": -180,
      "aria-valuemax": 180,
    },
    svg("circle", { class: "body", r: RADIUS }),
    ...ticks(),
    marks,
    hand,
    point,
  );
  let angle = 0;
  onDrag(element, (x, y) => choose(onCircle(Math.atan2(-y, x))));
  onArrows(element, (right, up) => choose(onCircle(angle + up - right))); // right is clockwise

  return {
    element,
    show(shown) {
      angle = angleOf(shown);
      const [x, y] = at(shown, RADIUS);
      set(hand, { x2: x, y2: y });
      set(point, { cx: x, cy: y });
      set(element, {
        "aria-valuenow": Math.round((angle * 180) / Math.PI),
        "aria-valuetext": degrees(angle),
      });
    },
    mark: (posterior) => marks.replaceChildren(...marksOf(posterior)),
  };
}

function marksOf(posterior: FactorPosterior | null): Element[] {
  if (!posterior) return [];
  const draws = posterior.draws.map((draw, i) => {
    const [cx, cy] = at(draw, RADIUS + 12 + (i % 5) * 2.5); // apart, so that many do not hide
    return svg("circle", { class: "draw", r: 2, cx, cy });
  });
  const [cx, cy] = at(posterior.mean, RADIUS);
  return [...draws, svg("circle", { class: "mean", r: 15, cx, cy })];
}

function ticks(): Element[] {
  return Array.from({ length: 24 }, (_, i) => {
    const direction = onCircle((i * Math.PI) / 12);
    const [x1, y1] = at(direction, i % 6 === 0 ? 84 : 92);
    const [x2, y2] = at(direction, RADIUS);
    return svg("line", { class: "tick", x1, y1, x2, y2 });
  });
}

/** A place on the screen, whose second axis points down. */
function at(point: Vector, radius: number): [number, number] {
  return [radius * point[0]!, -radius * point[1]!];
}
