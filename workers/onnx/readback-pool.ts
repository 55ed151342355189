import { createReadback, readWords } from './step-readback.js'

/** Buffers that read back words from the GPU. Several reads can be under way. */
export interface ReadbackPool {
  /**
   * Takes a buffer, into which the caller copies words in its next submit.
   * @returns the buffer, and a function that reads its first words after that submit and then gives the buffer back
   */
  take(): readonly [buffer: GPUBuffer, read: (sizeBytes: number) => Promise<Uint32Array<ArrayBuffer>>]
  destroy(): void
}

/** @param sizeBytes the size of each buffer */
export function createReadbackPool(device: GPUDevice, sizeBytes: number): ReadbackPool {
  const all = new Set<GPUBuffer>()
  const free: GPUBuffer[] = []
  return {
    take() {
      const buffer = free.pop() ?? createReadback(device, sizeBytes)
      all.add(buffer)
      const read = async (size: number) => {
        const words = await readWords(buffer, size)
        free.push(buffer)
        return words
      }
      return [buffer, read]
    },
    destroy() {
      for (const buffer of all) buffer.destroy()
    },
  }
}
