import assert from "node:assert/strict";
import { test } from "node:test";
import * as sphere from "../src/sphere.ts";
import { Walk } from "../src/walk.ts";

/** A seeded generator of numbers in [0, 1) (mulberry32). */
function seeded(seed: number): sphere.Random {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

function close(actual: number, expected: number, tolerance = 1e-12): void {
  assert.ok(Math.abs(actual - expected) <= tolerance, `${actual} is not ${expected}`);
}

function closeTo(actual: sphere.Vector, expected: sphere.Vector, tolerance = 1e-12): void {
  assert.equal(actual.length, expected.length);
  actual.forEach((value, i) => close(value, expected[i]!, tolerance));
}

const EYE = sphere.view(0.6, 0.4);

test("the eye's frame is orthonormal and right-handed", () => {
  for (const [i, row] of EYE.entries()) {
    for (const [j, other] of EYE.entries()) close(sphere.dot(row, other), i === j ? 1 : 0);
  }
  const [right, up, towards] = EYE as [number[], number[], number[]];
  close(right[0]! * up[1]! - right[1]! * up[0]!, towards[2]!);
});

test("the point under the pointer is seen under the pointer", () => {
  for (const [x, y] of [[0, 0], [0.3, -0.8], [-0.6, 0.2]] as const) {
    const [right, up, depth] = sphere.seen(sphere.pointUnder(x, y, EYE), EYE);
    closeTo([right, up], [x, y]);
    assert.ok(depth > 0);
  }
});

test("beyond the rim the pointer goes around the back, to its middle", () => {
  const edge = sphere.pointUnder(1, 0, EYE);
  closeTo(edge, sphere.pointUnder(1 + 1e-12, 0, EYE), 1e-5);
  closeTo(sphere.seen(sphere.pointUnder(1.5, 0, EYE), EYE), [0.5, 0, -Math.sqrt(0.75)]);
  closeTo(sphere.seen(sphere.pointUnder(0, 2, EYE), EYE), [0, 0, -1]);
  closeTo(sphere.seen(sphere.pointUnder(9, 9, EYE), EYE), [0, 0, -1]);
});

test("arrows turn a point to the right and upwards, around the whole ball", () => {
  const front = sphere.pointUnder(0, 0, EYE);
  closeTo(sphere.seen(sphere.turned(front, 0.1, 0, EYE), EYE), [Math.sin(0.1), 0, Math.cos(0.1)]);
  closeTo(sphere.seen(sphere.turned(front, 0, 0.1, EYE), EYE), [0, Math.sin(0.1), Math.cos(0.1)]);
  let point = front;
  for (let i = 0; i < 72; i++) point = sphere.turned(point, Math.PI / 36, 0, EYE);
  closeTo(point, front, 1e-9);
});

test("setting a coordinate keeps the sphere and the others' proportions", () => {
  const moved = sphere.withCoordinate(sphere.normalised([1, 2, 3, 4]), 0, 0.9);
  close(moved[0]!, 0.9);
  close(Math.hypot(...moved), 1);
  close(moved[2]! / moved[1]!, 1.5);
  closeTo(sphere.withCoordinate([0, 0, 1], 2, 1), [0, 0, 1]);
  closeTo(sphere.withCoordinate([0, 0, 1], 2, 0), [Math.SQRT1_2, Math.SQRT1_2, 0]);
  closeTo(sphere.withCoordinate([0, 1, 0], 1, 7), [0, 1, 0]);
});

test("angles of the circle come back", () => {
  for (const angle of [-3, -0.5, 0, 1, Math.PI]) close(sphere.angleOf(sphere.onCircle(angle)), angle);
});

test("a full great circle ends where it began", () => {
  const random = seeded(1);
  const start = sphere.randomDirection(6, random);
  const tangent = sphere.randomTangent(start, random);
  close(sphere.dot(start, tangent), 0);
  let [point, direction] = sphere.along(start, tangent, 0);
  for (let i = 0; i < 1000; i++) [point, direction] = sphere.along(point, direction, (2 * Math.PI) / 1000);
  closeTo(point, start, 1e-9);
  closeTo(direction, tangent, 1e-9);
});

test("walks stay on the sphere, keep their pace and get around", () => {
  for (const ambient of [2, 3, 5, 41]) {
    const walk = new Walk(seeded(ambient));
    let point: sphere.Vector = sphere.randomDirection(ambient, seeded(7));
    const start = point;
    let farthest = 1;
    for (let i = 0; i < 5000; i++) {
      const next = walk.step(point, 1 / 60);
      close(Math.hypot(...next), 1);
      close(sphere.dot(point, next), Math.cos(0.7 / 60));
      point = next;
      farthest = Math.min(farthest, sphere.dot(start, point));
    }
    assert.ok(farthest < -0.3, `S^${ambient - 1}: never further than cosine ${farthest}`);
  }
});

test("random directions have no preferred one, and normal numbers variance 1", () => {
  const random = seeded(3);
  const mean = [0, 0, 0];
  let squares = 0;
  for (let i = 0; i < 20_000; i++) {
    sphere.randomDirection(3, random).forEach((value, j) => (mean[j]! += value / 20_000));
    squares += sphere.standardNormal(random) ** 2 / 20_000;
  }
  closeTo(mean, [0, 0, 0], 4 / Math.sqrt(3 * 20_000));
  close(squares, 1, 4 * Math.sqrt(2 / 20_000));
});
