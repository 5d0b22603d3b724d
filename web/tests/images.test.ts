import assert from "node:assert/strict";
import { test } from "node:test";
import { fitted, inverted } from "../src/images.ts";
import { deviationsOf } from "../src/posterior.ts";

/** A picture whose pixel at (x, y) has the colour that a function gives. */
function picture(width: number, height: number, colour: (x: number, y: number) => number[]) {
  const data = Array.from({ length: width * height }, (_, i) => [
    ...colour(i % width, Math.floor(i / width)),
    255,
  ]);
  return { width, height, data: data.flat() };
}

const grey = (value: number): number[] => [value, value, value];

test("pixels are averaged, also where they are cut", () => {
  const wide = picture(3, 3, (x) => grey([0, 100, 200][x]!));
  const found = fitted(wide, [1, 2, 2]);
  const [dark, light] = [(0 + 0.5 * 100) / 1.5 / 255, (0.5 * 100 + 200) / 1.5 / 255];
  [dark, light, dark, light].forEach((value, i) => assert.ok(Math.abs(found[i]! - value) < 1e-6));
});

test("the middle of a wide picture is taken", () => {
  const wide = picture(8, 2, (x) => grey(x === 3 ? 255 : x === 4 ? 51 : 0));
  assert.deepEqual([...fitted(wide, [1, 2, 2])], [1, Math.fround(0.2), 1, Math.fround(0.2)]);
});

test("a small picture is enlarged", () => {
  const one = picture(1, 1, () => grey(255));
  assert.deepEqual([...fitted(one, [1, 2, 3])], [1, 1, 1, 1, 1, 1]);
});

test("colours come channel by channel, or as grey", () => {
  const red = picture(1, 1, () => [255, 0, 51]);
  assert.deepEqual([...fitted(red, [3, 1, 1])], [1, 0, Math.fround(0.2)]);
  const [luma] = fitted(red, [1, 1, 1]);
  assert.ok(Math.abs(luma! - (0.299 + 0.114 * 0.2)) < 1e-6);
});

test("inverting twice changes nothing", () => {
  const image = Float32Array.of(0, 0.25, 1);
  assert.deepEqual([...inverted(image)], [1, 0.75, 0]);
  assert.deepEqual(inverted(inverted(image)), image);
});

test("deviations of every kind of covariance", () => {
  const factor = { family: "normal", dim: 2, ambient: 2, offset: 0 };
  assert.deepEqual(deviationsOf({ ...factor, covariance: "single" }, [3]), [3, 3]);
  assert.deepEqual(deviationsOf({ ...factor, covariance: "diagonal" }, [3, 4]), [3, 4]);
  assert.deepEqual(deviationsOf({ ...factor, covariance: "full" }, [2, 0, 3, 4]), [2, 5]);
});
