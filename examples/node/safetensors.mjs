/** Read a safetensors file: a length, a JSON header, then the numbers of all tensors. */

import { readFileSync } from "node:fs";

/** The float32 tensors of a file by name, each as { data, shape }. */
export function readSafetensors(path) {
  const { buffer } = Uint8Array.from(readFileSync(path)); // a copy, which starts at byte 0
  const start = 8 + Number(new DataView(buffer).getBigUint64(0, true));
  const { __metadata__, ...header } = JSON.parse(new TextDecoder().decode(buffer.slice(8, start)));
  return Object.fromEntries(
    Object.entries(header).map(([name, { dtype, shape, data_offsets: [from, to] }]) => {
      if (dtype !== "F32") throw new Error(`${path}: ${name} is ${dtype}, and only F32 is read`);
      return [name, { data: new Float32Array(buffer.slice(start + from, start + to)), shape }];
    }),
  );
}
