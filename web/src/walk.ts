/** A random walk on a sphere: along one great circle after another, at a steady pace. */

import { along, randomTangent, tangentAt, type Random, type Vector } from "./sphere.ts";

const RADIANS_PER_SECOND = 0.7;
// Between so much of a circle and twice that, the walk turns off in a new direction.
const SHORTEST_LEG = Math.PI / 2;

/** Keeps its direction wherever it is taken up again. */
export class Walk {
  private tangent: Vector = [];
  private left = 0;

  constructor(private readonly random: Random = Math.random) {}

  /** The next point. */
  step(point: Vector, seconds: number): Vector {
    if (this.left <= 0) {
      this.tangent = randomTangent(point, this.random);
      this.left = SHORTEST_LEG * (1 + this.random());
    }
    const angle = seconds * RADIANS_PER_SECOND;
    this.left -= angle;
    const [next, tangent] = along(point, tangentAt(point, this.tangent), angle);
    this.tangent = tangent;
    return next;
  }
}

/** Move each frame; returns what stops it. */
export function animate(move: (seconds: number) => void): () => void {
  let last = performance.now();
  let request = requestAnimationFrame(frame);
  function frame(now: number): void {
    move(Math.min(0.1, Math.max(0, now - last) / 1000)); // no leap after a pause of the browser
    last = now;
    request = requestAnimationFrame(frame);
  }
  return () => cancelAnimationFrame(request);
}
