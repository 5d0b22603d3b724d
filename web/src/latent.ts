/** The latent vector that is shown, and who is told when it changes. */

import { ambientOf, isSphere, type Factor, type Manifest } from "./manifest.ts";
import { randomDirection, standardNormal, type Random, type Vector } from "./sphere.ts";

export class Latent {
  private readonly values: number[];
  private readonly listeners: (() => void)[] = [];

  constructor(private readonly manifest: Manifest) {
    this.values = new Array<number>(ambientOf(manifest)).fill(0);
    this.set(prior(manifest));
  }

  /** All coordinates, in the factors' order. */
  get z(): Vector {
    return this.values;
  }

  part(factor: Factor): Vector {
    return partOf(this.values, factor);
  }

  set(z: ArrayLike<number>): void {
    for (let i = 0; i < this.values.length; i++) this.values[i] = z[i]!;
    this.tell();
  }

  setPart(factor: Factor, point: ArrayLike<number>): void {
    for (let i = 0; i < factor.ambient; i++) this.values[factor.offset + i] = point[i]!;
    this.tell();
  }

  drawFromPrior(): void {
    this.set(prior(this.manifest));
  }

  onChange(listener: () => void): void {
    this.listeners.push(listener);
  }

  private tell(): void {
    for (const listener of this.listeners) listener();
  }
}

/** A factor's own coordinates of a latent vector. */
export function partOf(z: ArrayLike<number>, factor: Factor): number[] {
  return Array.from({ length: factor.ambient }, (_, i) => z[factor.offset + i]!);
}

/** A draw from a factor's prior: uniform on a sphere, standard normal elsewhere. */
export function priorPart(factor: Factor, random: Random = Math.random): number[] {
  if (isSphere(factor)) return randomDirection(factor.ambient, random);
  return Array.from({ length: factor.ambient }, () => standardNormal(random));
}

export function prior(manifest: Manifest, random: Random = Math.random): number[] {
  return manifest.factors.flatMap((factor) => priorPart(factor, random));
}
