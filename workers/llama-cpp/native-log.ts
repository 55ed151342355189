/** What llama.cpp tells in its log alone: where it put a model, and why something failed. */
export interface NativeLog {
  /** For wllama. */
  readonly logger: Readonly<Record<'debug' | 'log' | 'warn' | 'error', (...words: unknown[]) => void>>
  /** Weights of the model lie on a GPU. */
  readonly usesGpu: boolean
  /** As llama.cpp names it: `Q4_K - Medium`. */
  readonly fileType: string | undefined
  /** The first complaint since `forgetComplaints`: what comes behind it follows from it. */
  readonly complaint: string
  forgetComplaints(): void
}

/** An event without a message. */
const notStarted = "it could not be started: the page's CSP must allow `worker-src blob:`."

/** @param onWorkerError wllama tells of its worker's death here alone */
export function readNativeLog(onWorkerError: (words: string) => void): NativeLog {
  let usesGpu = false
  let fileType: string | undefined
  let complaint = ''

  function read(...words: unknown[]): void {
    const line = words.map(String).join(' ')
    const gpuMebibytes = /^load_tensors:\s+WebGPU.* model buffer size =\s*([\d.]+)/.exec(line)?.[1]
    usesGpu ||= Number(gpuMebibytes) > 0
    // What cannot even be started says so here, and nobody is told.
    if (line.startsWith('Aborted(')) onWorkerError(line)
    fileType ??= /^print_info: file type\s+= (.*?)\s*$/.exec(line)?.[1]
  }

  function readError(first: unknown): void {
    if (first instanceof Event) onWorkerError((first as Partial<ErrorEvent>).message || notStarted)
    // Traces of the stack come as a line of their own; objects were told in words before.
    else if (typeof first === 'string' && !first.startsWith('Stack trace')) complaint ||= first
  }

  return {
    logger: { debug: read, log: read, warn: read, error: readError },
    get usesGpu() {
      return usesGpu
    },
    get fileType() {
      return fileType
    },
    get complaint() {
      return complaint
    },
    forgetComplaints() {
      complaint = ''
    },
  }
}
