import type { Array as WireArray, Number as WireNumber } from "./messages.ts";

const INTEGER = /^-?\d+$/;
const WORDS: Readonly<Record<string, number>> = {
  NaN: Number.NaN,
  Infinity: Number.POSITIVE_INFINITY,
  "-Infinity": Number.NEGATIVE_INFINITY,
};

/** A number as it travels, decoded without loss: integers beyond 2^53 become bigints. */
export function decodeNumber(value: WireNumber): number | bigint {
  if (typeof value === "number") {
    return value;
  }
  const word = WORDS[value];
  if (word !== undefined) {
    return word;
  }
  if (INTEGER.test(value)) {
    return BigInt(value);
  }
  throw new TypeError(`${JSON.stringify(value.slice(0, 40))} is not a number of the wire.`);
}

/** A number ready to travel. */
export function encodeNumber(value: number | bigint): WireNumber {
  if (typeof value === "bigint") {
    const isSafe = value >= -(2n ** 53n) && value <= 2n ** 53n;
    return isSafe ? Number(value) : value.toString();
  }
  if (Number.isFinite(value)) {
    return value;
  }
  return Number.isNaN(value) ? "NaN" : value > 0 ? "Infinity" : "-Infinity";
}

const ELEMENT_BYTES: Readonly<Record<string, number>> = {
  uint8: 1,
  int8: 1,
  bool: 1,
  int16: 2,
  uint16: 2,
  float16: 2,
  bfloat16: 2,
  int32: 4,
  uint32: 4,
  float32: 4,
  int64: 8,
  uint64: 8,
  float64: 8,
};

/** The bytes of an array that came beside a message, checked against its head. */
export function arrayBytes(head: WireArray, buffers: readonly DataView[]): DataView {
  const view = buffers[head.buffer];
  const size = ELEMENT_BYTES[head.dtype];
  if (view === undefined || size === undefined) {
    throw new TypeError(`Array ${head.dtype} names buffer ${head.buffer} of ${buffers.length}.`);
  }
  const expected = head.shape.reduce((product, extent) => product * extent, size);
  if (view.byteLength !== expected) {
    throw new TypeError(`An array [${head.shape.join(", ")}] has ${view.byteLength} bytes, not ${expected}.`);
  }
  return view;
}

/** What the host hands over as a buffer, as a view that minds its offset. */
export function asDataView(buffer: ArrayBuffer | ArrayBufferView): DataView {
  return buffer instanceof ArrayBuffer
    ? new DataView(buffer)
    : new DataView(buffer.buffer, buffer.byteOffset, buffer.byteLength);
}
