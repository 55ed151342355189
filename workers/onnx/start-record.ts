// ONNX Runtime's start always leaves the same memory, as long as its WebAssembly is the same: it reads no clock, no random number
// and no input but the browser's language. It takes 230 ms on a core of a server, for each page: two functions of a megabyte
// are compiled, run once, and not kept by browsers. So the memory after the first start is recorded, and later starts copy it.
//
// The record also has the calls by which the WebAssembly registers itself with its JavaScript: the main thread, and the C++
// types that JavaScript can see (Emscripten, "Embind"). Later starts repeat these calls.

/** A call of a function that the WebAssembly imports. */
interface ImportCall {
  readonly module: string
  readonly name: string
  readonly args: readonly (number | bigint)[]
}

/** A part of the memory that is not zero. */
interface MemoryPart {
  readonly start: number
  readonly bytes: Uint8Array<ArrayBuffer>
}

/** What a start leaves. */
export interface StartRecord {
  readonly calls: readonly ImportCall[]
  readonly parts: readonly MemoryPart[]
  /** The size of the memory in bytes. */
  readonly memoryBytes: number
  /** The ends of the main thread's stack. */
  readonly stack: { readonly base: number; readonly end: number }
  /** The arguments and the result of `OrtInit`. */
  readonly init: { readonly args: readonly number[]; readonly result: number }
}

/** The functions by which the WebAssembly registers itself. A later start repeats their calls. */
const registrations =
  /^(_emscripten_init_main_thread_js|_emscripten_thread_mailbox_await|_embind_register_\w+)$/

/** Functions that read what is the same for all starts in a browser with the same language. */
const readings = /^(environ_sizes_get|environ_get|emscripten_asm_const_int)$/

/** The size of the pieces that are looked at for zeros, in bytes. */
const pageBytes = 4096

/** The exports that a start calls (Emscripten; ONNX Runtime, `onnxruntime/wasm/api.cc`). */
interface StartExports {
  __wasm_call_ctors(): void
  OrtInit(threads: number, logLevel: number): number
  /** The address of the thread's record, which has the base of its stack at 52, and the size at 56. */
  pthread_self(): number
  emscripten_stack_set_limits(base: number, end: number): void
}

/**
 * Watches the next instance of the WebAssembly until it has started.
 * @param imports the imports of the instance
 * @returns the imports and the exports to use in place of its own, and a function that gives the record after the start:
 *   undefined if the start did something that cannot be repeated
 */
export function recordStart(imports: WebAssembly.Imports) {
  const memory = findMemory(imports)
  const calls: ImportCall[] = []
  let isRunning = false
  let isRepeatable = memory !== undefined
  let record: StartRecord | undefined

  const watch = (module: string, name: string, call: (...args: unknown[]) => unknown) =>
    function watched(...args: unknown[]): unknown {
      if (isRunning) {
        const isPlain = args.every((arg) => typeof arg === 'number' || typeof arg === 'bigint')
        if (isPlain && registrations.test(name)) calls.push({ module, name, args })
        else if (!readings.test(name)) isRepeatable = false
      }
      return call(...args)
    }

  function run<Result>(call: () => Result): Result {
    isRunning = true
    try {
      return call()
    } finally {
      isRunning = false
    }
  }

  return {
    imports: mapFunctions(imports, watch),
    wrapExports(exports: WebAssembly.Exports): WebAssembly.Exports {
      const { __wasm_call_ctors, OrtInit, pthread_self, emscripten_stack_set_limits } =
        exports as unknown as Partial<StartExports>
      if (!memory || !__wasm_call_ctors || !OrtInit || !pthread_self || !emscripten_stack_set_limits)
        return exports
      const memoryBytes = memory.buffer.byteLength
      return {
        ...exports,
        __wasm_call_ctors: () => run(__wasm_call_ctors),
        OrtInit(...args: [number, number]) {
          const result = run(() => OrtInit(...args))
          if (isRepeatable && memory.buffer.byteLength === memoryBytes) {
            const [base = 0, size = 0] = new Uint32Array(memory.buffer, pthread_self() + 52, 2)
            const stack = { base, end: base - size }
            record = { calls, parts: readParts(memory), memoryBytes, stack, init: { args, result } }
          }
          return result
        },
      }
    },
    /** @returns the record at the first call */
    takeRecord(): StartRecord | undefined {
      const taken = record
      record = undefined
      return taken
    },
  }
}

/**
 * Gives an instance the memory that an earlier start has left, in place of a start.
 * @param imports the imports of the instance
 * @returns the exports to use in place of its own
 * @throws Error if the instance is not that of the record
 */
export function repeatStart(
  imports: WebAssembly.Imports,
  exports: WebAssembly.Exports,
  { calls, memoryBytes, stack, init, ...record }: StartRecord,
): WebAssembly.Exports {
  const memory = findMemory(imports)
  if (memory?.buffer.byteLength !== memoryBytes) throw new Error('The memory has another size.')
  const { emscripten_stack_set_limits } = exports as unknown as StartExports
  let { parts } = record

  function fillMemory(): void {
    const bytes = new Uint8Array(memory!.buffer)
    for (const part of parts) bytes.set(part.bytes, part.start)
  }

  return {
    ...exports,
    __wasm_call_ctors() {
      fillMemory()
      for (const { module, name, args } of calls)
        (imports[module]![name] as (...args: readonly (number | bigint)[]) => unknown)(...args)
      // The calls also write: what they wrote in the recorded start, or what it has overwritten since.
      fillMemory()
      // ONNX Runtime keeps this function.
      parts = []
      emscripten_stack_set_limits(stack.base, stack.end)
    },
    OrtInit(...args: number[]) {
      if (String(args) !== String(init.args)) throw new Error('ONNX Runtime starts with other options.')
      return init.result
    },
  }
}

function findMemory(imports: WebAssembly.Imports): WebAssembly.Memory | undefined {
  const values = Object.values(imports).flatMap((module) => Object.values(module))
  return values.find((value) => value instanceof WebAssembly.Memory)
}

/** Functions that wait for promises (`WebAssembly.Suspending`) are no JavaScript functions. A start cannot wait. */
function mapFunctions(
  imports: WebAssembly.Imports,
  map: (
    module: string,
    name: string,
    run: (...args: unknown[]) => unknown,
  ) => (...args: unknown[]) => unknown,
): WebAssembly.Imports {
  const mapModule = (module: string, values: WebAssembly.ModuleImports) =>
    Object.fromEntries(
      Object.entries(values).map(([name, value]) => [
        name,
        typeof value === 'function' ? map(module, name, value as (...args: unknown[]) => unknown) : value,
      ]),
    )
  return Object.fromEntries(
    Object.entries(imports).map(([module, values]) => [module, mapModule(module, values)]),
  )
}

/** Copies the pages of the memory that are not zero. */
function readParts({ buffer }: WebAssembly.Memory): readonly MemoryPart[] {
  const words = new Uint32Array(buffer)
  const parts: MemoryPart[] = []
  let start: number | undefined
  for (let at = 0; at <= buffer.byteLength; at += pageBytes) {
    if (hasContent(words, at)) start ??= at
    else if (start !== undefined) {
      parts.push({ start, bytes: new Uint8Array(buffer, start, at - start).slice() })
      start = undefined
    }
  }
  return parts
}

/** Returns true if the page at this byte is not zero. A loop, because `some` takes five times as long. */
function hasContent(words: Uint32Array, at: number): boolean {
  const { BYTES_PER_ELEMENT } = Uint32Array
  const end = Math.min(words.length, (at + pageBytes) / BYTES_PER_ELEMENT)
  for (let index = at / BYTES_PER_ELEMENT; index < end; index += 1) if (words[index] !== 0) return true
  return false
}

/** The record as bytes: the length of a JSON text, the text, and the parts of the memory. */
export function encodeStart({ parts, calls, ...rest }: StartRecord): Blob {
  const text = JSON.stringify({
    ...rest,
    parts: parts.map(({ start, bytes }) => ({ start, length: bytes.length })),
    // JSON has no 64-bit integers.
    calls: calls.map(({ module, name, args }) => ({
      module,
      name,
      args: args.map((arg) => (typeof arg === 'bigint' ? `${arg}` : arg)),
    })),
  })
  const encoded = new TextEncoder().encode(text)
  return new Blob([Uint32Array.of(encoded.length), encoded, ...parts.map(({ bytes }) => bytes)])
}

/** @throws Error if `record` is not a record */
export function decodeStart(record: Uint8Array<ArrayBuffer>): StartRecord {
  const textStart = Uint32Array.BYTES_PER_ELEMENT
  const [textLength = 0] = new Uint32Array(record.buffer, record.byteOffset, 1)
  const text = new TextDecoder().decode(record.subarray(textStart, textStart + textLength))
  const { parts, calls, ...rest } = JSON.parse(text) as Omit<StartRecord, 'parts' | 'calls'> & {
    readonly parts: readonly { readonly start: number; readonly length: number }[]
    readonly calls: readonly (Omit<ImportCall, 'args'> & { readonly args: readonly (number | string)[] })[]
  }
  let end = textStart + textLength
  return {
    ...rest,
    parts: parts.map(({ start, length }) => ({ start, bytes: record.subarray(end, (end += length)) })),
    calls: calls.map(({ module, name, args }) => ({
      module,
      name,
      args: args.map((arg) => (typeof arg === 'string' ? BigInt(arg) : arg)),
    })),
  }
}
