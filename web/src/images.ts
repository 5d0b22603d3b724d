/** Pictures of the user's as the encoder takes them, and arrays as pictures. */

import { Problem } from "./problem.ts";

/** (C, H, W). */
export type Shape = readonly [number, number, number];

interface Pixels {
  readonly width: number;
  readonly height: number;
  readonly data: ArrayLike<number>;
}

// Larger pictures are first scaled down by the browser: their pixels would not fit a canvas.
const LARGEST_SIDE = 2048;

// As in sxvae_runtime.levels: up to here it is doubted that 255 stands for white.
const ALMOST_BLACK = 16;

/** What happens to a picture, for the page to say. */
export function preprocessing([channels, height, width]: Shape): string {
  const colour = channels === 1 ? "turned grey" : "kept in colour";
  return (
    `The middle of the picture is averaged down to ${width} × ${height} pixels and ${colour}, ` +
    "0 (black) to 1 (white). Contrast stays as it is."
  );
}

/** An image file as one input of the encoder, in [0, 1]. */
export async function readImage(file: Blob, shape: Shape): Promise<Float32Array> {
  let bitmap: ImageBitmap;
  try {
    bitmap = await createImageBitmap(file);
  } catch {
    throw new Problem("This file is no picture that the browser can read: choose a PNG or a JPEG.");
  }
  const shrink = Math.min(1, LARGEST_SIDE / Math.max(bitmap.width, bitmap.height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(bitmap.width * shrink));
  canvas.height = Math.max(1, Math.round(bitmap.height * shrink));
  const context = canvas.getContext("2d", { willReadFrequently: true })!;
  context.fillStyle = "white"; // behind transparent parts, as with training images
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  bitmap.close();
  const picture = context.getImageData(0, 0, canvas.width, canvas.height);
  refuseAlmostBlack(picture);
  return fitted(picture, shape);
}

/** Masks of 0 and 1, or levels up to 16, saved as a picture: 255 is not what stands for 1. */
function refuseAlmostBlack(picture: Pixels): void {
  let brightest = 0;
  for (let i = 0; i < picture.data.length; i++) {
    if (i % 4 !== 3) brightest = Math.max(brightest, picture.data[i]!); // not the opacity
  }
  if (brightest > 0 && brightest <= ALMOST_BLACK) {
    throw new Problem(
      `The brightest pixel of this picture is ${brightest} of 255, so it is almost black: ` +
        "save it with 255 for white.",
    );
  }
}

/** The middle of a picture, averaged down to the shape: channels first, in [0, 1]. */
export function fitted(picture: Pixels, [channels, height, width]: Shape): Float32Array {
  const scale = Math.min(picture.width / width, picture.height / height);
  const left = (picture.width - scale * width) / 2;
  const top = (picture.height - scale * height) / 2;
  const image = new Float32Array(channels * height * width);
  for (let row = 0; row < height; row++) {
    for (let column = 0; column < width; column++) {
      const colour = average(picture, left + column * scale, top + row * scale, scale);
      const values = channels === 1 ? [luma(colour)] : colour;
      for (let channel = 0; channel < channels; channel++) {
        image[(channel * height + row) * width + column] = values[channel]! / 255;
      }
    }
  }
  return image;
}

export function inverted(image: Float32Array): Float32Array {
  return image.map((value) => 1 - value);
}

/** Draw an image (C, H, W) on a canvas, a pixel each; values outside [0, 1] are cut. */
export function draw(canvas: HTMLCanvasElement, image: Float32Array, shape: Shape): void {
  const [channels, height, width] = shape;
  if (canvas.width !== width) canvas.width = width;
  if (canvas.height !== height) canvas.height = height;
  const data = new Uint8ClampedArray(4 * width * height); // rounds and cuts by itself
  const plane = width * height;
  for (let i = 0; i < plane; i++) {
    for (let channel = 0; channel < 3; channel++) {
      data[4 * i + channel] = 255 * image[(channels === 1 ? 0 : channel) * plane + i]!;
    }
    data[4 * i + 3] = 255;
  }
  canvas.getContext("2d")!.putImageData(new ImageData(data, width, height), 0, 0);
}

/** The mean colour of a square of `side` pixels, those on its edge counted by their share. */
function average(picture: Pixels, left: number, top: number, side: number): number[] {
  const sums = [0, 0, 0];
  let weights = 0;
  for (let y = Math.floor(top); y < Math.min(picture.height, Math.ceil(top + side)); y++) {
    const tall = Math.min(y + 1, top + side) - Math.max(y, top);
    for (let x = Math.floor(left); x < Math.min(picture.width, Math.ceil(left + side)); x++) {
      const weight = tall * (Math.min(x + 1, left + side) - Math.max(x, left));
      const start = 4 * (y * picture.width + x);
      for (let channel = 0; channel < 3; channel++) {
        sums[channel]! += weight * picture.data[start + channel]!;
      }
      weights += weight;
    }
  }
  return sums.map((sum) => sum / weights);
}

/** As Pillow turns colours grey, and so as the training images were. */
function luma([red, green, blue]: readonly number[]): number {
  return 0.299 * red! + 0.587 * green! + 0.114 * blue!;
}
