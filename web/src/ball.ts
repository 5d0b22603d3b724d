/** A sphere S² as a ball of glass: what lies on its back shines through. */

import { coordinates, onArrows, onDrag, type Choose, type Control } from "./control.ts";
import { set, svg } from "./dom.ts";
import type { FactorPosterior } from "./posterior.ts";
import { onCircle, pointUnder, seen, turned, view, type Vector } from "./sphere.ts";

const RADIUS = 100;
const EYE = view(0.6, 0.4);

export function ball(name: string, choose: Choose): Control {
  const point = svg("circle", { class: "point" });
  const marks = svg("g", { class: "posterior" });
  const element = svg(
    "svg",
    {
      class: "round",
      viewBox: "-114 -114 228 228",
      tabindex: 0,
      role: "slider",
      "aria-roledescription": "ball",
      "aria-label": `Point on the sphere ${name}`,
      "aria-valuemin": -90,
      "aria-valuemax": 90,
    },
    svg("circle", { class: "body", r: RADIUS }),
    svg("ellipse", { class: "shine", cx: -34, cy: -42, rx: 46, ry: 38 }),
    ...graticule(),
    marks,
    point,
  );
  let shown: Vector = [1, 0, 0];
  onDrag(element, (x, y) => choose(pointUnder(x / RADIUS, -y / RADIUS, EYE)));
  onArrows(element, (right, up) => choose(turned(shown, right, up, EYE)));

  return {
    element,
    hint: "Past the rim the way goes on around the back.",
    show(now) {
      shown = now;
      place(point, now, 11);
      const latitude = (Math.asin(Math.max(-1, Math.min(1, now[2]!))) * 180) / Math.PI;
      set(element, { "aria-valuenow": Math.round(latitude), "aria-valuetext": coordinates(now) });
    },
    mark: (posterior) => marks.replaceChildren(...marksOf(posterior)),
  };
}

function marksOf(posterior: FactorPosterior | null): Element[] {
  if (!posterior) return [];
  const draws = posterior.draws.map((draw) => place(svg("circle", { class: "draw" }), draw, 2.5));
  return [...draws, place(svg("circle", { class: "mean" }), posterior.mean, 15)];
}

/** Put a mark where a point is seen, a little smaller on the back. */
function place(mark: SVGCircleElement, point: Vector, size: number): SVGCircleElement {
  const [x, y, depth] = seen(point, EYE);
  set(mark, {
    cx: x * RADIUS,
    cy: -y * RADIUS,
    r: size * (1 + 0.2 * depth),
    "data-side": depth >= 0 ? "front" : "back",
  });
  return mark;
}

/** Parallels and meridians each 30 degrees. */
function graticule(): Element[] {
  const steps = Array.from({ length: 73 }, (_, i) => onCircle((i * Math.PI) / 36));
  const parallels = [-60, -30, 0, 30, 60].map((latitude) => {
    const [across, height] = onCircle((latitude * Math.PI) / 180) as [number, number];
    return steps.map(([c, s]) => [across * c!, across * s!, height]);
  });
  const meridians = [0, 30, 60, 90, 120, 150].map((longitude) => {
    const [x, y] = onCircle((longitude * Math.PI) / 180) as [number, number];
    return steps.map(([c, s]) => [c! * x, c! * y, s!]);
  });
  return [...parallels, ...meridians].flatMap((line, i) => halves(line, i === 2));
}

/** A closed line as two paths, on the front and on the back of the ball. */
function halves(line: Vector[], main: boolean): Element[] {
  const paths = { front: "", back: "" };
  for (let i = 1; i < line.length; i++) {
    const [from, to] = [seen(line[i - 1]!, EYE), seen(line[i]!, EYE)];
    const side = from[2] + to[2] >= 0 ? "front" : "back";
    paths[side] += `M${where(from)}L${where(to)}`;
  }
  return (["back", "front"] as const).map((side) =>
    svg("path", { class: main ? "line main" : "line", "data-side": side, d: paths[side] }),
  );
}

function where([x, y]: Vector): string {
  return `${(x! * RADIUS).toFixed(1)} ${(-y! * RADIUS).toFixed(1)}`;
}
