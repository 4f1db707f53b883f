import { describe, expect, test } from "vitest";
import { heatColor, paint, type Rgb, textOn, thinnedLimit } from "../../src/lib/colormap.ts";

const TONES = ["light", "dark"] as const;

function luminance([r, g, b]: Rgb): number {
  const linear = (channel: number): number =>
    channel / 255 <= 0.04045 ? channel / 255 / 12.92 : ((channel / 255 + 0.055) / 1.055) ** 2.4;
  return 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
}

describe.each(TONES)("heat colours, %s", (tone) => {
  test("zero is the middle, the limits are the ends, and beyond is no more than the end", () => {
    const end = heatColor(1, 1, tone);
    expect(heatColor(5, 1, tone)).toEqual(end);
    expect(heatColor(0, 1, tone)).not.toEqual(end);
    expect(heatColor(-1, 1, tone)).not.toEqual(end);
    const [r, , b] = end;
    expect(r).toBeGreaterThan(b);
    const [nr, , nb] = heatColor(-1, 1, tone);
    expect(nb).toBeGreaterThan(nr);
  });

  test("a larger magnitude is never nearer to the middle", () => {
    const middle = heatColor(0, 1, tone);
    const away = (color: Rgb): number =>
      color.reduce((sum, channel, i) => sum + Math.abs(channel - (middle[i] ?? 0)), 0);
    for (const sign of [-1, 1]) {
      let last = 0;
      for (let step = 1; step <= 20; step += 1) {
        const distance = away(heatColor((sign * step) / 20, 1, tone));
        expect(distance).toBeGreaterThanOrEqual(last);
        last = distance;
      }
    }
  });

  test("what isn't a finite number is off the scale", () => {
    const scale = Array.from({ length: 201 }, (_, i) => heatColor((i - 100) / 100, 1, tone).join());
    expect(scale).not.toContain(heatColor(Number.NaN, 1, tone).join());
    expect(scale).not.toContain(heatColor(Number.POSITIVE_INFINITY, 1, tone).join());
    expect(heatColor(Number.NaN, 1, tone)).not.toEqual(heatColor(Number.POSITIVE_INFINITY, 1, tone));
  });

  test("text on every colour has a contrast of 4.5 or more", () => {
    const values = [Number.NaN, Number.POSITIVE_INFINITY, ...Array.from({ length: 401 }, (_, i) => (i - 200) / 200)];
    for (const value of values) {
      const color = heatColor(value, 1, tone);
      const text = textOn(color) === "#fff" ? 1 : 0;
      const [low, high] = [luminance(color), text].sort((a, b) => a - b) as [number, number];
      expect((high + 0.05) / (low + 0.05)).toBeGreaterThanOrEqual(4.5);
    }
  });

  test("painting counts what isn't finite and fills every pixel", () => {
    const pixels = new Uint8ClampedArray(6 * 4);
    const counts = paint([0, 1, -1, Number.NaN, Infinity, -Infinity], 1, tone, pixels);
    expect(counts).toEqual({ nan: 1, infinite: 2 });
    expect([...pixels.subarray(0, 3)]).toEqual([...heatColor(0, 1, tone)]);
    expect([...pixels.subarray(4, 7)]).toEqual([...heatColor(1, 1, tone)]);
    expect([...pixels.subarray(12, 15)]).toEqual([...heatColor(Number.NaN, 1, tone)]);
    expect(pixels.filter((_, i) => i % 4 === 3).every((alpha) => alpha === 255)).toBe(true);
  });

  test("a tensor of zeros is painted as zeros, whatever its limit", () => {
    const pixels = new Uint8ClampedArray(4);
    paint([0], 0, tone, pixels);
    expect([...pixels.subarray(0, 3)]).toEqual([...heatColor(0, 0, tone)]);
  });
});

describe("a picture whose cells stand for many values each", () => {
  /** What the largest of 45 normal values in each block looks like: all far from zero. */
  const thinned = Float32Array.from({ length: 1000 }, (_, i) => (i % 2 === 0 ? 1 : -1) * (2 + (i % 100) / 50));

  test("isn't painted full all over", () => {
    const limit = thinnedLimit(thinned, 2.8);
    expect(limit).toBeCloseTo(3.98, 1);
    const pixels = new Uint8ClampedArray(thinned.length * 4);
    paint(thinned, limit, "light", pixels, true);
    const full = heatColor(limit, limit, "light", true);
    const nFull = Array.from({ length: thinned.length }, (_, i) => pixels[i * 4] === full[0]).filter(Boolean).length;
    expect(nFull).toBeLessThan(0.05 * thinned.length);
  });

  test("never has a smaller limit than the tensor's own, and is not led by what isn't finite", () => {
    expect(thinnedLimit(new Float32Array([0.1, Number.NaN, Infinity]), 1)).toBe(1);
    expect(thinnedLimit(new Float32Array([]), 1)).toBe(1);
  });
});
