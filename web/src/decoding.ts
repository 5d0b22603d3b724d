/** Decode what is shown, at most once a frame, and never two at a time. */

import type { Bundle } from "./bundle.ts";
import type { Latent } from "./latent.ts";

/** A latent vector and the image that it decodes to. */
export interface Shown {
  readonly z: Float32Array;
  readonly image: Float32Array;
  readonly milliseconds: number;
}

/**
 * Call `show` with the newest image after each change.
 *
 * Changes while the decoder is busy are answered by one more round with the last of them.
 */
export function decodeChanges(
  bundle: Bundle,
  latent: Latent,
  show: (shown: Shown) => void,
  fail: (error: unknown) => void,
): void {
  let asked = false;
  let busy = false;

  async function round(): Promise<void> {
    asked = false;
    busy = true;
    const z = Float32Array.from(latent.z);
    const start = performance.now();
    try {
      const image = await bundle.decode(z);
      show({ z, image, milliseconds: performance.now() - start });
    } catch (error) {
      fail(error);
    }
    busy = false;
    if (asked) requestAnimationFrame(() => void round());
  }

  function ask(): void {
    if (!asked && !busy) requestAnimationFrame(() => void round());
    asked = true;
  }

  latent.onChange(ask);
  ask();
}
