/** A bundle in its onnxruntime sessions: fetched, checked and run in the browser. */

import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex } from "@noble/hashes/utils.js";
import type * as Onnxruntime from "onnxruntime-web/wasm";
import { ambientOf, isSphere, parseManifest, type Graph, type Manifest } from "./manifest.ts";
import { Problem } from "./problem.ts";
import { standardNormal } from "./sphere.ts";

type Arrays = Record<string, Float32Array>;

/** The posterior of one image, all factors side by side. */
export interface Encoded {
  readonly mean_direction: Float32Array;
  readonly concentration: Float32Array;
  readonly scale: Float32Array;
}

export class Bundle {
  readonly ambient: number;

  private constructor(
    readonly manifest: Manifest,
    private readonly runtime: typeof Onnxruntime,
    private readonly sessions: ReadonlyMap<string, Onnxruntime.InferenceSession>,
  ) {
    this.ambient = ambientOf(manifest);
  }

  /** Fetch the bundle in a folder beside the page. */
  static async load(folder: string): Promise<Bundle> {
    const url = `${folder}/manifest.json`;
    const runtimeLoading = loadRuntime();
    const manifest = parseManifest(
      new TextDecoder().decode(await fetched(url, "export the model with sxvae export --web.")),
      url,
    );
    const names = ["encoder", "decoder", "sampler"].filter((name) => manifest.graphs[name]);
    const files = await Promise.all(
      names.map((name) => checkedFile(folder, manifest.graphs[name]!)),
    );
    const runtime = await runtimeLoading;
    const sessions = new Map<string, Onnxruntime.InferenceSession>();
    for (const [i, name] of names.entries()) {
      const file = `${folder}/${manifest.graphs[name]!.file}`;
      sessions.set(name, await session(runtime, file, files[i]!));
    }
    return new Bundle(manifest, runtime, sessions);
  }

  /** Images (n, C, H, W) of latent vectors (n, ambient). */
  async decode(z: Float32Array): Promise<Float32Array> {
    const { mean } = await this.run("decoder", { z }, z.length / this.ambient);
    return mean!;
  }

  async encode(x: Float32Array): Promise<Encoded> {
    const found = await this.run("encoder", { x }, 1);
    const none = new Float32Array();
    return {
      mean_direction: found["mean_direction"]!,
      concentration: found["concentration"] ?? none,
      scale: found["scale"] ?? none,
    };
  }

  get canSample(): boolean {
    return this.sessions.has("sampler");
  }

  /** Draws (n, ambient) from the posterior of one image. */
  async sample(encoded: Encoded, n: number): Promise<Float32Array> {
    const spheres = this.manifest.factors.filter(isSphere).length;
    const feeds: Arrays = {
      mean_direction: repeated(encoded.mean_direction, n),
      concentration: repeated(encoded.concentration, n),
      scale: repeated(encoded.scale, n),
      uniform: Float32Array.from({ length: n * spheres }, Math.random),
      normal: Float32Array.from({ length: n * this.ambient }, () => standardNormal()),
    };
    const { z } = await this.run("sampler", feeds, n);
    return z!;
  }

  /** Run a graph on the arrays that it takes; others are left out. */
  private async run(name: string, arrays: Arrays, rows: number): Promise<Arrays> {
    const graph = this.manifest.graphs[name]!;
    const feeds = graph.inputs.map((port) => {
      const shape = port.shape.map((size) => (typeof size === "number" ? size : rows));
      return [port.name, new this.runtime.Tensor("float32", arrays[port.name]!, shape)] as const;
    });
    const outputs = await this.sessions.get(name)!.run(Object.fromEntries(feeds));
    return Object.fromEntries(
      Object.entries(outputs).map(([key, tensor]) => [key, tensor.data as Float32Array]),
    );
  }
}

async function loadRuntime(): Promise<typeof Onnxruntime> {
  const folder = new URL("onnxruntime/", document.baseURI).href;
  try {
    const url = `${folder}ort.wasm.min.mjs`;
    const runtime = (await import(/* @vite-ignore */ url)) as typeof Onnxruntime;
    runtime.env.wasm.numThreads = 1; // more need headers that static hosts do not send
    runtime.env.wasm.wasmPaths = folder;
    return runtime;
  } catch {
    throw new Problem(
      `${folder}ort.wasm.min.mjs can't be loaded: the host must have it, and send .mjs as JavaScript.`,
    );
  }
}

async function checkedFile(folder: string, graph: Graph): Promise<Uint8Array> {
  const url = `${folder}/${graph.file}`;
  const bytes = await fetched(url, "export the bundle again.");
  if (bytesToHex(sha256(bytes)) !== graph.sha256) {
    throw new Problem(`${url} is damaged or of another bundle (SHA-256): export the bundle again.`);
  }
  return bytes;
}

async function fetched(url: string, advice: string): Promise<Uint8Array> {
  let response: Response;
  try {
    response = await fetch(url);
  } catch {
    throw new Problem(`${url} can't be fetched: is the server still there?`);
  }
  if (!response.ok) {
    throw new Problem(`${url} can't be fetched (status ${response.status}): ${advice}`);
  }
  return new Uint8Array(await response.arrayBuffer());
}

async function session(
  runtime: typeof Onnxruntime,
  url: string,
  bytes: Uint8Array,
): Promise<Onnxruntime.InferenceSession> {
  try {
    return await runtime.InferenceSession.create(bytes, { executionProviders: ["wasm"] });
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new Problem(`onnxruntime can't load ${url}: ${reason}`);
  }
}

function repeated(row: Float32Array, n: number): Float32Array {
  const rows = new Float32Array(n * row.length);
  for (let i = 0; i < n; i++) rows.set(row, i * row.length);
  return rows;
}
