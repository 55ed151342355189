/** Page and Node: resident memory of Chromium's processes, all of one kind together. */
export interface ProcessBytes {
  readonly renderer: number
  readonly gpu: number
}

declare global {
  interface Window {
    /** Undefined where the system does not tell. */
    readonly readProcesses: () => Promise<ProcessBytes | undefined>
    readonly startHeapPeak: () => Promise<void>
    /** @returns the most that the workers' heaps held since `startHeapPeak`, ArrayBuffers with them */
    readonly endHeapPeak: () => Promise<number>
  }
}
