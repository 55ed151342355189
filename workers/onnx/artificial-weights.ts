import type { GraphProto, TensorProto } from './onnx_pb.js'
import { TensorProto_DataLocation } from './onnx_pb.js'
import type { ModelWeights } from './model-weights.js'
import { tensorTypes } from './tensor-types.js'

/** No tensor may be larger: its content is in memory once. */
const maxTensorBytes = 2 ** 28
/** The number of random bytes that a content repeats. Odd multiples of it are no size of a row. */
const patternBytes = 4 * 16_381

/** What a tensor contains: bytes of quantized weights, small random floats, or ones for the weights of norms. */
type Kind = 'bytes' | 'float32' | 'float16' | 'ones32' | 'ones16'

/**
 * Creates files in place of those with a graph's external weights: a check of steps depends on the graph, not on the weights. The
 * files take as much memory as their largest tensors, because all tensors of a kind are the same bytes.
 * @returns undefined if a tensor is too large, or of a type without artificial content
 */
export function createArtificialFiles(graph: GraphProto): ModelWeights['externalData'] | undefined {
  const normWeights = new Set(
    graph.node.filter(({ opType }) => /norm/i.test(opType)).flatMap(({ input }) => input),
  )
  const files = new Map<string, Map<number, Kind>>()
  const largest = new Map<Kind, number>()
  const ends = new Map<string, number>()
  for (const tensor of graph.initializer) {
    if (tensor.dataLocation !== TensorProto_DataLocation.EXTERNAL) continue
    const { path, offset, length } = readPlace(tensor)
    const kind = chooseKind(tensor, normWeights.has(tensor.name))
    if (kind === undefined || length > maxTensorBytes) return undefined
    files.set(path, (files.get(path) ?? new Map<number, Kind>()).set(offset, kind))
    largest.set(kind, Math.max(largest.get(kind) ?? 0, length))
    ends.set(path, Math.max(ends.get(path) ?? 0, offset + length))
  }
  const contents = new Map([...largest].map(([kind, bytes]) => [kind, createContent(kind, bytes)]))
  return [...files].map(([path, kinds]) => ({
    path,
    data: new ArtificialFile(ends.get(path)!, (start, end) =>
      contents.get(kinds.get(start)!)!.subarray(0, end - start),
    ),
  }))
}

/**
 * A file whose bytes are made when they are read. ONNX Runtime 1.30.0 reads an external file only by its `byteLength` and its
 * `subarray`. Another version would find it empty, and the check would fail.
 */
class ArtificialFile extends Uint8Array<ArrayBuffer> {
  readonly #sizeBytes: number
  readonly #read: (start: number, end: number) => Uint8Array<ArrayBuffer>

  constructor(sizeBytes: number, read: (start: number, end: number) => Uint8Array<ArrayBuffer>) {
    super(new ArrayBuffer(0))
    this.#sizeBytes = sizeBytes
    this.#read = read
  }

  override get byteLength(): number {
    return this.#sizeBytes
  }

  override subarray(start = 0, end = this.#sizeBytes): Uint8Array<ArrayBuffer> {
    return this.#read(start, end)
  }
}

function readPlace({ externalData }: TensorProto) {
  const read = (key: string) => externalData.find((entry) => entry.key === key)?.value
  return {
    path: read('location') ?? '',
    offset: Number(read('offset') ?? 0),
    length: Number(read('length') ?? 0),
  }
}

function chooseKind({ dataType }: TensorProto, isNorm: boolean): Kind | undefined {
  if (dataType === tensorTypes.float32) return isNorm ? 'ones32' : 'float32'
  if (dataType === tensorTypes.float16) return isNorm ? 'ones16' : 'float16'
  return dataType === tensorTypes.uint8 || dataType === tensorTypes.int8 ? 'bytes' : undefined
}

function createContent(kind: Kind, sizeBytes: number): Uint8Array<ArrayBuffer> {
  const content = new Uint8Array(sizeBytes)
  const pattern = createPattern(kind).subarray(0, sizeBytes)
  content.set(pattern)
  for (let filled = pattern.length; filled < sizeBytes; filled *= 2)
    content.copyWithin(filled, 0, Math.min(filled, sizeBytes - filled))
  return content
}

function createPattern(kind: Kind): Uint8Array<ArrayBuffer> {
  const words = Uint32Array.from({ length: patternBytes / 4 }, (_, index) =>
    Math.imul((index + 1) ^ (index >>> 7), 0x9e37_79b1),
  )
  if (kind === 'ones32') return new Uint8Array(new Float32Array(words.length).fill(1).buffer)
  if (kind === 'ones16') return new Uint8Array(new Uint16Array(words.length * 2).fill(0x3c00).buffer)
  // Uniform in [-1/32, 1/32), as the weights of a layer with about a thousand inputs.
  if (kind === 'float32')
    return new Uint8Array(Float32Array.from(words, (word) => (word / 2 ** 31 - 1) / 32).buffer)
  // Both signs, absolute values from 1/64 to 1/32: exponent -6.
  if (kind === 'float16')
    return new Uint8Array(
      Uint16Array.from(new Uint16Array(words.buffer), (bits) => (bits & 0x83ff) | (9 << 10)).buffer,
    )
  return new Uint8Array(words.buffer)
}
