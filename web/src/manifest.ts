/** What a bundle says of itself; see the page of the documentation on bundles. */

import { Problem } from "./problem.ts";

const FORMAT_VERSION = 1;

export interface Factor {
  readonly family: string;
  readonly dim: number;
  readonly ambient: number;
  readonly offset: number;
  readonly covariance?: "single" | "diagonal" | "full";
}

export interface Port {
  readonly name: string;
  readonly shape: readonly (number | string)[];
}

export interface Graph {
  readonly file: string;
  readonly sha256: string;
  readonly inputs: readonly Port[];
  readonly outputs: readonly Port[];
}

export interface Manifest {
  readonly format_version: number;
  readonly factors: readonly Factor[];
  readonly input_shape: readonly [number, number, number];
  readonly likelihood: string;
  readonly graphs: Readonly<Record<string, Graph>>;
  readonly provenance?: {
    readonly dataset?: string | null;
    /** Test metrics; bundles of older versions have none. */
    readonly evaluation?: { readonly collapsed?: readonly boolean[] | null };
  };
}

export function isSphere(factor: Factor): boolean {
  return factor.family !== "normal";
}

/** As in the literature: S² or R⁵. */
export function nameOf(factor: Factor): string {
  const digits = [...String(factor.dim)].map((digit) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[Number(digit)]);
  return `${isSphere(factor) ? "S" : "R"}${digits.join("")}`;
}

/** Whether the test metrics say that a factor tells nothing of the image. */
export function hasCollapsed(manifest: Manifest, place: number): boolean {
  return manifest.provenance?.evaluation?.collapsed?.[place] === true;
}

export function ambientOf(manifest: Manifest): number {
  return manifest.factors.reduce((sum, factor) => sum + factor.ambient, 0);
}

/** Read a manifest, refusing what this page can't show. */
export function parseManifest(text: string, url: string): Manifest {
  let content: Partial<Manifest> | null;
  try {
    content = JSON.parse(text) as Partial<Manifest> | null;
  } catch {
    throw new Problem(`${url} is no JSON: export the bundle again.`);
  }
  const { format_version: version, factors, input_shape: shape, graphs } = content ?? {};
  if (typeof version !== "number" || !Array.isArray(factors) || !Array.isArray(shape) || !graphs) {
    throw new Problem(`${url} is no manifest of a bundle: export the bundle again.`);
  }
  if (version > FORMAT_VERSION) {
    throw new Problem(
      `The bundle's format ${version} is newer than this page: build the page of a newer sxvae.`,
    );
  }
  for (const name of ["encoder", "decoder"]) {
    if (!graphs[name]) throw new Problem(`${url} names no ${name}: export the bundle again.`);
  }
  if (shape[0] !== 1 && shape[0] !== 3) {
    throw new Problem(`The model's images have ${shape[0]} channels: this page shows 1 or 3.`);
  }
  return content as Manifest;
}
