/**
 * Run a bundle's graphs with onnxruntime-node and compare with its golden outputs.
 *
 *     node reproduce.mjs BUNDLE
 */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import * as ort from "onnxruntime-node";
import { readSafetensors } from "./safetensors.mjs";

const TOLERANCE = 1e-5;
// The golden file's name for an output, where it is not the graph's own.
const GOLDEN_NAMES = { z: "sample" };

/** The largest difference of a graph's outputs from the golden ones, relative to max(1, |value|). */
async function largestDifference(folder, graph, golden) {
  const session = await ort.InferenceSession.create(join(folder, graph.file));
  const feeds = Object.fromEntries(
    graph.inputs.map(({ name }) => {
      const { data, shape } = golden[name];
      return [name, new ort.Tensor("float32", data, shape)];
    }),
  );
  const outputs = await session.run(feeds);
  const differences = Object.entries(outputs).flatMap(([name, { data }]) => {
    const expected = golden[GOLDEN_NAMES[name] ?? name].data;
    return Array.from(expected, (value, i) => Math.abs(data[i] - value) / Math.max(1, Math.abs(value)));
  });
  return differences.reduce((worst, value) => Math.max(worst, value), 0); // NaN if any is
}

const [folder] = process.argv.slice(2);
if (!folder) {
  console.error("usage: node reproduce.mjs BUNDLE");
  process.exit(2);
}
const manifest = JSON.parse(readFileSync(join(folder, "manifest.json"), "utf8"));
const golden = readSafetensors(join(folder, manifest.golden.file));
for (const name of ["encoder", "decoder", "sampler"]) {
  const worst = await largestDifference(folder, manifest.graphs[name], golden);
  console.log(`${name}: largest difference ${worst.toExponential(1)}`);
  if (!(worst <= TOLERANCE)) process.exitCode = 1;
}
