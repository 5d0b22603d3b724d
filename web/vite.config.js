import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { defineConfig } from "vite";

// All that the page needs of onnxruntime-web: the WebAssembly backend, one thread.
const RUNTIME_FILES = [
  "ort.wasm.min.mjs",
  "ort-wasm-simd-threaded.mjs",
  "ort-wasm-simd-threaded.wasm",
];

/** Put the runtime's files beside the page, under their own names, by which they find each other. */
function onnxruntime() {
  return {
    name: "onnxruntime",
    generateBundle() {
      for (const name of RUNTIME_FILES) {
        const path = new URL(`node_modules/onnxruntime-web/dist/${name}`, import.meta.url);
        this.emitFile({ type: "asset", fileName: `onnxruntime/${name}`, source: readFileSync(path) });
      }
    },
  };
}

export default defineConfig({
  base: "./", // the page works at any address
  plugins: [onnxruntime()],
  build: {
    target: "es2022",
    outDir: fileURLToPath(new URL("../exports/sxvae_runtime/built_page", import.meta.url)),
    emptyOutDir: true,
    modulePreload: false,
    reportCompressedSize: false,
  },
});
