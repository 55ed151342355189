import type { OpenFile } from '../store/readable-file.js'

/** The content of an external data file. An open file is read when ONNX Runtime takes a weight: memory has no copy of it. */
export type ExternalData = Uint8Array<ArrayBuffer> | OpenFile

/** An external data file. `path` is the path that the graph uses for it. */
export interface ExternalFile {
  readonly path: string
  readonly data: ExternalData
}

/** Returns the bytes from `start` to `end`, or to the end of the file: a view if they are in memory, otherwise a copy. */
export function readPart(data: ExternalData, start: number, end: number): Uint8Array<ArrayBuffer> {
  if (data instanceof Uint8Array) return data.subarray(start, end)
  const bytes = new Uint8Array(Math.max(0, Math.min(end, data.byteLength) - start))
  data.readInto(bytes, start)
  return bytes
}

/**
 * Creates a file for ONNX Runtime that takes no memory until it is read. onnxruntime-web 1.30.0 reads `byteLength` and copies
 * the result of `subarray` at once, once for each tensor. The buffer of the array is detached: if another version reads the
 * array differently, the session fails instead of using wrong weights.
 */
export function createLazyFile(
  sizeBytes: number,
  read: (start: number, end: number) => Uint8Array<ArrayBuffer>,
): Uint8Array<ArrayBuffer> {
  const file = new Uint8Array(1)
  structuredClone(file.buffer, { transfer: [file.buffer] })
  const subarray = (start = 0, end = sizeBytes) => read(start, end)
  return Object.defineProperties(file, { byteLength: { value: sizeBytes }, subarray: { value: subarray } })
}
