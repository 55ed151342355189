import { createReadback, readWords } from './step-readback.js'

/**
 * The words that `take` writes. They stay if the submit that copies the result is invalid, for example because a KV cache could not
 * be allocated: WebGPU then runs nothing of it. No vocabulary has a token of this id.
 */
export const unwrittenWord = 0xfffffffe

/** Buffers that read back words from the GPU. Several reads can be under way. */
export interface ReadbackPool {
  /**
   * Takes a buffer, into which the caller copies words in its next submit. Until then, they are `unwrittenWord`.
   * @param sizeBytes the size of the words that are read: more than 0
   * @returns the buffer, and a function that reads the words after that submit and then gives the buffer back
   */
  take(sizeBytes: number): readonly [buffer: GPUBuffer, read: () => Promise<Uint32Array<ArrayBuffer>>]
  destroy(): void
}

/** @param maxSizeBytes the size of each buffer */
export function createReadbackPool(device: GPUDevice, maxSizeBytes: number): ReadbackPool {
  const all = new Set<GPUBuffer>()
  const free: GPUBuffer[] = []
  const unwritten = new Uint32Array(maxSizeBytes / 4).fill(unwrittenWord)
  return {
    take(sizeBytes) {
      const buffer = free.pop() ?? createReadback(device, maxSizeBytes)
      all.add(buffer)
      device.queue.writeBuffer(buffer, 0, unwritten, 0, sizeBytes / 4)
      const read = async () => {
        const words = await readWords(buffer, sizeBytes)
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
