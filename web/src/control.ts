/** What every control of a factor does; there is one for each kind of factor. */

import type { FactorPosterior } from "./posterior.ts";
import type { Vector } from "./sphere.ts";

export interface Control {
  readonly element: Element;
  /** How to use it, where that is not plain. */
  readonly hint?: string;
  /** Show where the factor's point is. */
  show(point: Vector): void;
  /** Mark an image's posterior, or none. */
  mark(posterior: FactorPosterior | null): void;
}

/** How a control hands over a point that the user chose. */
export type Choose = (point: Vector) => void;

/** The coordinates of a point, in a few characters. */
export function coordinates(point: Vector): string {
  return `(${point.map(short).join(", ")})`;
}

export function degrees(angle: number): string {
  return `${minus(String(Math.round((angle * 180) / Math.PI)))}°`;
}

export function short(value: number): string {
  return minus(value.toFixed(2));
}

function minus(text: string): string {
  return (/^-[0.]+$/.test(text) ? text.slice(1) : text).replace("-", "−");
}

/** Follow a pointer from where it is put down until it is lifted, in the element's coordinates. */
export function onDrag(element: SVGSVGElement, move: (x: number, y: number) => void): void {
  const follow = (event: PointerEvent): void => {
    const box = element.getBoundingClientRect();
    const { width, height, x, y } = element.viewBox.baseVal;
    move(
      x + ((event.clientX - box.left) / box.width) * width,
      y + ((event.clientY - box.top) / box.height) * height,
    );
  };
  element.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    event.preventDefault();
    element.focus({ focusVisible: false } as FocusOptions);
    element.setPointerCapture(event.pointerId);
    follow(event);
  });
  element.addEventListener("pointermove", (event) => {
    if (element.hasPointerCapture(event.pointerId)) follow(event);
  });
}

/** Turn by the arrow keys: 5 degrees, 1 with Shift, 30 with Page Up and Page Down. */
export function onArrows(element: Element, turn: (right: number, up: number) => void): void {
  const ways: Record<string, readonly [number, number]> = {
    ArrowRight: [5, 0],
    ArrowLeft: [-5, 0],
    ArrowUp: [0, 5],
    ArrowDown: [0, -5],
    PageUp: [0, 30],
    PageDown: [0, -30],
  };
  element.addEventListener("keydown", (event) => {
    const { key, shiftKey } = event as KeyboardEvent;
    const way = ways[key];
    if (!way) return;
    event.preventDefault();
    const unit = (shiftKey && key.startsWith("Arrow") ? 0.2 : 1) * (Math.PI / 180);
    turn(way[0] * unit, way[1] * unit);
  });
}
