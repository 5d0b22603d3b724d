/** A slider for each axis: of a sphere, where the others give way, or of a Euclidean factor. */

import { short, type Choose, type Control } from "./control.ts";
import { html, set } from "./dom.ts";
import { isSphere, type Factor } from "./manifest.ts";
import { withCoordinate, type Vector } from "./sphere.ts";

// A standard normal coordinate is further out once in 16,000.
const EUCLIDEAN_REACH = 4;

interface Axis {
  readonly input: HTMLInputElement;
  readonly output: HTMLOutputElement;
  readonly mark: HTMLElement;
}

export function sliders(name: string, factor: Factor, choose: Choose): Control {
  const sphere = isSphere(factor);
  let shown: Vector = [];
  let reach = sphere ? 1 : EUCLIDEAN_REACH;
  let mean: Vector | null = null;
  const axes = Array.from({ length: factor.ambient }, (_, i) =>
    axis(`Axis ${i + 1} of ${name}`, i, (value) =>
      choose(sphere ? withCoordinate(shown, i, value) : shown.with(i, value)),
    ),
  );
  const rows = axes.map(({ input, output, mark }, i) =>
    html("label", { class: "axis" }, html("span", {}, `z${i + 1}`), track(input, mark), output),
  );

  /** Points may lie far out, so that a Euclidean axis reaches as far as is needed. */
  function extend(values: Vector): void {
    const needed = Math.max(reach, ...values.map((value) => Math.ceil(Math.abs(value))));
    if (sphere || needed === reach) return;
    reach = needed;
    for (const { input } of axes) range(input, reach);
    showMean();
  }

  function showMean(): void {
    axes.forEach(({ mark }, i) => {
      set(mark, { hidden: mean === null });
      if (mean) mark.style.setProperty("--share", String((mean[i]! / reach + 1) / 2));
    });
  }

  for (const { input } of axes) range(input, reach);
  showMean();
  return {
    element: html(
      "div",
      { class: "axes", role: "group", "aria-label": `Axes of ${name}` },
      ...rows,
    ),
    show(point) {
      shown = point;
      extend(point);
      axes.forEach(({ input, output }, i) => {
        input.value = String(point[i]!);
        output.value = short(point[i]!);
      });
    },
    mark(posterior) {
      mean = posterior?.mean ?? null;
      if (mean) extend(mean);
      showMean();
    },
  };
}

function axis(label: string, index: number, act: (value: number) => void): Axis {
  const input = html("input", { type: "range", "aria-label": label, "data-axis": index });
  input.addEventListener("input", () => act(input.valueAsNumber));
  return { input, output: html("output"), mark: html("i", { class: "axis-mean", hidden: true }) };
}

function range(input: HTMLInputElement, reach: number): void {
  set(input, { min: -reach, max: reach, step: reach / 100 });
}

function track(input: HTMLInputElement, mark: HTMLElement): HTMLElement {
  return html("span", { class: "track" }, input, mark);
}
