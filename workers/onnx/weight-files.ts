import { createLazyFile, readPart, type ExternalData, type ExternalFile } from './external-data.js'
import { pieceBytes, replaceUploads } from './weight-uploads.js'

/** The external data files of a session that is being created. */
export interface WeightFiles {
  /** The files for ONNX Runtime. */
  readonly files: readonly { readonly path: string; readonly data: Uint8Array<ArrayBuffer> }[]
  /** @throws the first error of reading or copying a weight. ONNX Runtime reports another error, or none. */
  check(): void
  /** Call it when the session is created, or could not be created. */
  end(): void
}

/**
 * Prepares external data files for ONNX Runtime. Weights in open files are read when ONNX Runtime takes them, in pieces if
 * they go to the GPU, so that memory never has a copy of a file.
 * @param device the device of the session; undefined if it runs on the CPU
 */
export function prepareWeightFiles(
  externalData: readonly ExternalFile[],
  device: GPUDevice | undefined,
): WeightFiles {
  const uploads = device && replaceUploads(device)
  let failed: { readonly error: unknown } | undefined
  let scratch = new Uint8Array()

  function remember<T>(run: () => T): T {
    try {
      return run()
    } catch (error) {
      failed ??= { error }
      throw error
    }
  }

  /** Reads bytes of a file into the memory that all reads share. ONNX Runtime copies them at once. */
  function readShared(data: ExternalData, start: number, end: number): Uint8Array<ArrayBuffer> {
    if (data instanceof Uint8Array) return readPart(data, start, end)
    if (scratch.length < end - start) scratch = new Uint8Array(end - start)
    const bytes = scratch.subarray(0, end - start)
    data.readInto(bytes, start)
    return bytes
  }

  function take(data: ExternalData, start: number, end: number): Uint8Array<ArrayBuffer> {
    if (!uploads) return readShared(data, start, end)
    uploads.check()
    const byteLength = end - start
    if (byteLength > pieceBytes && !(data instanceof Uint8Array)) {
      const read = (from: number, to: number) => remember(() => readShared(data, start + from, start + to))
      return uploads.createLazyView({ byteLength, read })
    }
    const bytes = readShared(data, start, end)
    return uploads.watch(bytes.subarray(), { byteLength, read: (from, to) => bytes.subarray(from, to) })
  }

  return {
    files: externalData.map(({ path, data }) => ({
      path,
      data: createLazyFile(data.byteLength, (start, end) => remember(() => take(data, start, end))),
    })),
    check() {
      if (failed) throw failed.error
      uploads?.check()
    },
    end: () => uploads?.end(),
  }
}
