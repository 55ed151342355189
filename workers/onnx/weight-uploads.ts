import { bufferUsage } from './webgpu-flags.js'

/** The bytes of a weight. */
interface WeightSource {
  readonly byteLength: number
  /** Returns bytes from `start` to `end`. They are valid until the next call. */
  read(start: number, end: number): Uint8Array<ArrayBuffer>
}

/** How many bytes the queue gets at once. With pieces of 4 MiB, the first token of a load comes later. */
export const pieceBytes = 2 ** 20

/** ONNX Runtime pads the buffers of weights to a multiple of this size, in bytes. */
const paddingBytes = 16

/** Writes weights to the GPU through the queue of the device, in place of ONNX Runtime. */
export interface WeightUploads {
  /** Makes ONNX Runtime write the weight `source` when it copies `view`, which has the same bytes, to the GPU. */
  watch(view: Uint8Array<ArrayBuffer>, source: WeightSource): Uint8Array<ArrayBuffer>
  /** Creates a view whose bytes are not read before ONNX Runtime copies them, in pieces: to the GPU, or into its own memory. */
  createLazyView(source: WeightSource): Uint8Array<ArrayBuffer>
  /** @throws an error if ONNX Runtime took a weight in an unexpected way */
  check(): void
  /** Restores the methods of the device and of arrays. */
  end(): void
}

/** The weight that ONNX Runtime copies now, between these calls: `view.buffer`, `createBuffer`, `copyBufferToBuffer`. */
type Copying =
  | { readonly step: 'none' }
  | { readonly step: 'announced' | 'staged'; readonly source: WeightSource }

interface TypedArrayPrototype {
  set(values: ArrayLike<number>, offset?: number): void
}

const typedArrays = Object.getPrototypeOf(Uint8Array.prototype) as TypedArrayPrototype

function forEachPiece(
  { byteLength, read }: WeightSource,
  run: (piece: Uint8Array<ArrayBuffer>, start: number) => void,
): void {
  for (let start = 0; start < byteLength; start += pieceBytes)
    run(read(start, Math.min(start + pieceBytes, byteLength)), start)
}

/**
 * Replaces the way of weights to the GPU. onnxruntime-web 1.30.0 creates a mapped buffer for each weight, copies the weight into it,
 * and submits a command that copies this buffer into that of the weight, all in one synchronous function. Here, this function gets
 * stand-ins for the mapped buffer, the encoder and the commands, and the weight is written in pieces when it "copies" the buffer.
 *
 * A stand-in is only given in the function: after it has read the property `buffer` of a view, which nothing else reads. If a
 * version of ONNX Runtime does anything else after that, an error is thrown.
 */
export function replaceUploads(device: GPUDevice): WeightUploads {
  const { queue } = device
  let copying: Copying = { step: 'none' }

  /** Returns what ONNX Runtime copies into the stand-in for the mapped buffer: nothing. */
  function announce(source: WeightSource): ArrayBuffer {
    check()
    copying = { step: 'announced', source }
    const nothing = {
      get length() {
        if (copying.step !== 'staged' || copying.source !== source) throw createOrderError()
        return 0
      },
    }
    // ONNX Runtime passes it to `new Uint8Array()`, which accepts any array-like object.
    return nothing as unknown as ArrayBuffer
  }

  function check(): void {
    if (copying.step !== 'none') throw createOrderError()
  }

  function write(source: WeightSource, target: GPUBuffer): void {
    forEachPiece(source, (piece, start) => queue.writeBuffer(target, start, padPiece(piece)))
  }

  const lazyViews = new WeakMap<object, WeightSource>()

  // Commands that do nothing.
  const written = {} as GPUCommandBuffer

  const restore = [
    replaceMethod(device, 'createBuffer', (create) => (descriptor) => {
      if (copying.step === 'none') return create.call(device, descriptor)
      const { step, source } = copying
      const { mappedAtCreation, usage, size } = descriptor
      const isStaging = mappedAtCreation && usage === (bufferUsage.mapWrite | bufferUsage.copySource)
      if (step !== 'announced' || !isStaging || size !== pad(source.byteLength)) throw createOrderError()
      copying = { step: 'staged', source }
      // The part of a buffer that ONNX Runtime uses.
      return { getMappedRange: () => new ArrayBuffer(0), unmap() {}, destroy() {} } as unknown as GPUBuffer
    }),
    replaceMethod(device, 'createCommandEncoder', (create) => (descriptor) => {
      if (copying.step === 'none') return create.call(device, descriptor)
      const { step, source } = copying
      if (step !== 'staged') throw createOrderError()
      const encoder = {
        copyBufferToBuffer(_from: GPUBuffer, _offset: number, target: GPUBuffer) {
          write(source, target)
          copying = { step: 'none' }
        },
        finish: () => written,
      }
      // The part of an encoder that ONNX Runtime uses.
      return encoder as unknown as GPUCommandEncoder
    }),
    replaceMethod(queue, 'submit', (submit) => (commands) => {
      const left = [...commands].filter((each) => each !== written)
      if (left.length > 0) submit.call(queue, left)
    }),
    // Copies a weight that stays on the CPU.
    replaceMethod(
      typedArrays,
      'set',
      (set) =>
        function setOrRead(this: TypedArrayPrototype, values, offset = 0) {
          const source = lazyViews.get(values)
          if (!source) return set.call(this, values, offset)
          forEachPiece(source, (piece, start) => set.call(this, piece, offset + start))
        },
    ),
  ]

  return {
    watch: (view, source) => Object.defineProperty(view, 'buffer', { get: () => announce(source) }),
    createLazyView(source) {
      const view = {
        byteOffset: 0,
        byteLength: source.byteLength,
        get buffer() {
          return announce(source)
        },
        /** Read by whatever copies the view, other than the methods above. */
        get length(): number {
          throw createOrderError()
        },
      }
      lazyViews.set(view, source)
      // ONNX Runtime passes it only to `HEAPU8.set()`, or reads its buffer.
      return view as unknown as Uint8Array<ArrayBuffer>
    },
    check,
    end() {
      for (const each of restore) each()
    },
  }
}

/** Replaces a method of an object. @returns a function that restores it */
function replaceMethod<Owner extends object, Name extends keyof Owner>(
  owner: Owner,
  name: Name,
  create: (original: Owner[Name]) => Owner[Name],
): () => void {
  const replaced = Object.getOwnPropertyDescriptor(owner, name)
  owner[name] = create(owner[name])
  return () => {
    if (replaced) Object.defineProperty(owner, name, replaced)
    else Reflect.deleteProperty(owner, name)
  }
}

function createOrderError(): Error {
  return new Error('this version of ONNX Runtime copies weights to the GPU in an unknown way')
}

function pad(sizeBytes: number): number {
  return Math.ceil(sizeBytes / paddingBytes) * paddingBytes
}

function padPiece(piece: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  if (piece.length % paddingBytes === 0) return piece
  const padded = new Uint8Array(pad(piece.length))
  padded.set(piece)
  return padded
}
