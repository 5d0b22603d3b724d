/** Points on unit spheres, of any dimension: unit vectors as plain arrays. */

export type Vector = readonly number[];
export type Random = () => number;

/** An orthonormal frame of the eye that looks at a ball: rows to the right, up, and to the eye. */
export type View = readonly [Vector, Vector, Vector];

export function dot(a: Vector, b: Vector): number {
  return a.reduce((sum, value, i) => sum + value * (b[i] ?? 0), 0);
}

/** The unit vector along `v`; one along the first axis if `v` has no direction. */
export function normalised(v: Vector): number[] {
  const norm = Math.hypot(...v);
  return norm > 0 ? v.map((value) => value / norm) : v.map((_, i) => (i === 0 ? 1 : 0));
}

/** The angle of a point on the circle, in (-pi, pi]. */
export function angleOf(point: Vector): number {
  return Math.atan2(point[1] ?? 0, point[0] ?? 0);
}

export function onCircle(angle: number): number[] {
  return [Math.cos(angle), Math.sin(angle)];
}

/** The point with one coordinate set; the others keep their proportions. */
export function withCoordinate(point: Vector, index: number, value: number): number[] {
  const kept = Math.min(1, Math.max(-1, value));
  const others = point.map((coordinate, i) => (i === index ? 0 : coordinate));
  const norm = Math.hypot(...others);
  const wanted = Math.sqrt(1 - kept * kept);
  const even = Math.sqrt(1 / (point.length - 1)); // at a pole no proportions are left
  const moved = others.map((coordinate) => wanted * (norm > 1e-9 ? coordinate / norm : even));
  moved[index] = kept;
  return normalised(moved);
}

/** A ball seen from the front, its third axis upright and tipped towards the eye by `tilt`. */
export function view(turn: number, tilt: number): View {
  const [c, s] = onCircle(turn) as [number, number];
  const [ct, st] = onCircle(tilt) as [number, number];
  return [
    [-s, c, 0],
    [-st * c, -st * s, ct],
    [ct * c, ct * s, st],
  ];
}

/** Coordinates to the right, up and towards the eye. */
export function seen(point: Vector, eye: View): [number, number, number] {
  return [dot(eye[0], point), dot(eye[1], point), dot(eye[2], point)];
}

/**
 * The point of a ball under the pointer, at (x, y) in radii from its middle.
 *
 * Outside the rim the way goes on around the back; its middle is two radii out, and all beyond.
 */
export function pointUnder(x: number, y: number, eye: View): number[] {
  const distance = Math.hypot(x, y);
  const out = distance <= 1 ? distance : Math.max(0, 2 - distance);
  const depth = Math.sqrt(Math.max(0, 1 - out * out)) * (distance <= 1 ? 1 : -1);
  const scale = distance > 0 ? out / distance : 0;
  return normalised(inSpace([x * scale, y * scale, depth], eye));
}

/** Turn a point about the eye's own axes: to the right by one angle, upwards by another. */
export function turned(point: Vector, right: number, up: number, eye: View): number[] {
  const [x, y, depth] = seen(point, eye);
  const across = x * Math.cos(right) + depth * Math.sin(right);
  const inwards = depth * Math.cos(right) - x * Math.sin(right);
  const upright = y * Math.cos(up) + inwards * Math.sin(up);
  return normalised(inSpace([across, upright, inwards * Math.cos(up) - y * Math.sin(up)], eye));
}

function inSpace(coordinates: Vector, eye: View): number[] {
  return [0, 1, 2].map((axis) => dot(coordinates, [eye[0][axis]!, eye[1][axis]!, eye[2][axis]!]));
}

/** Go along the great circle that leaves `point` in the direction `tangent`; both are carried. */
export function along(point: Vector, tangent: Vector, angle: number): [number[], number[]] {
  const [c, s] = onCircle(angle) as [number, number];
  const there = normalised(point.map((value, i) => c * value + s * tangent[i]!));
  return [there, tangentAt(there, point.map((value, i) => c * tangent[i]! - s * value))];
}

export function randomDirection(ambient: number, random: Random = Math.random): number[] {
  return normalised(Array.from({ length: ambient }, () => standardNormal(random)));
}

export function randomTangent(point: Vector, random: Random = Math.random): number[] {
  return tangentAt(point, randomDirection(point.length, random));
}

/** A standard normal number (Box and Muller). */
export function standardNormal(random: Random = Math.random): number {
  return Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
}

/** The direction of `v` in which one can leave a point. */
export function tangentAt(point: Vector, v: Vector): number[] {
  const inner = dot(point, v);
  return normalised(v.map((value, i) => value - inner * point[i]!));
}
