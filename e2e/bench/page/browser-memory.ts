/** For page and Node: resident memory of Chromium's processes, summed by process type. */
export interface ProcessBytes {
  readonly renderer: number
  readonly gpu: number
}

declare global {
  interface Window {
    /** Resolves to undefined if the system is not Linux. */
    readonly readProcesses: () => Promise<ProcessBytes | undefined>
    /** Resolves to the memory in use on the graphics card, in bytes; undefined if it is not an NVIDIA card. */
    readonly readCardMemory: () => Promise<number | undefined>
    readonly startHeapPeak: () => Promise<void>
    /** @returns the peak total size of the workers' heaps since `startHeapPeak`, including ArrayBuffers */
    readonly endHeapPeak: () => Promise<number>
  }
}
