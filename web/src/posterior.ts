/** What the encoder says of an image, factor by factor. */

import type { Bundle, Encoded } from "./bundle.ts";
import { partOf } from "./latent.ts";
import { isSphere, type Factor } from "./manifest.ts";

/** The posterior of one factor. */
export interface FactorPosterior {
  readonly mean: readonly number[];
  /** Of a sphere. */
  readonly concentration?: number;
  /** Of a Euclidean factor: the standard deviation of each coordinate. */
  readonly deviations?: readonly number[];
  /** Points drawn from it; none where the bundle has no sampler. */
  readonly draws: readonly (readonly number[])[];
}

const DRAWS = 60;

/** The posterior of each factor, in their order. */
export async function posteriorOf(bundle: Bundle, encoded: Encoded): Promise<FactorPosterior[]> {
  const draws = bundle.canSample ? await bundle.sample(encoded, DRAWS) : new Float32Array();
  const rows = Array.from({ length: draws.length / bundle.ambient }, (_, i) =>
    draws.subarray(i * bundle.ambient, (i + 1) * bundle.ambient),
  );
  let sphere = 0;
  let scale = 0;
  return bundle.manifest.factors.map((factor) => {
    const mean = partOf(encoded.mean_direction, factor);
    const own = rows.map((row) => partOf(row, factor));
    if (isSphere(factor)) {
      return { mean, concentration: encoded.concentration[sphere++]!, draws: own };
    }
    const size = scales(factor);
    const deviations = deviationsOf(factor, encoded.scale.subarray(scale, scale + size));
    scale += size;
    return { mean, deviations, draws: own };
  });
}

/** The standard deviation of each coordinate of a Euclidean factor, from its entries in `scale`. */
export function deviationsOf(factor: Factor, scale: ArrayLike<number>): number[] {
  return Array.from({ length: factor.dim }, (_, i) => {
    if (factor.covariance === "single") return scale[0]!;
    if (factor.covariance === "diagonal") return scale[i]!;
    const row = Array.from({ length: factor.dim }, (_, j) => scale[i * factor.dim + j]!);
    return Math.hypot(...row); // a row of the Cholesky factor
  });
}

function scales(factor: Factor): number {
  return { single: 1, diagonal: factor.dim, full: factor.dim ** 2 }[factor.covariance!];
}
