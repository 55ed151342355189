import {
  closeSync,
  existsSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'

/** A tensor of a data file, as `random_llama.py` lists them, in the order of the file. */
export interface SeededTensor {
  /** Bytes. */
  readonly length: number
  /** Whether a decode step reads the whole tensor. */
  readonly perToken: boolean
  readonly kind: 'bytes' | 'float32' | 'float16'
  /** Floats are uniform in [-high, high). */
  readonly high?: number
}

/** A power of two, so that a float never crosses the end of a block. */
const blockBytes = 2 ** 22
const listSuffix = '_data.json'

/** Reads the tensors of a graph's data file; undefined if the weights are not random ones. */
export function readSeededTensors(graph: string): SeededTensor[] | undefined {
  const list = `${graph}${listSuffix}`
  return existsSync(list) ? (JSON.parse(readFileSync(list, 'utf8')) as SeededTensor[]) : undefined
}

/** Writes the missing data files of a model folder. The same list gives the same bytes. */
export function fillWeights(modelFolder: string): void {
  const folder = join(modelFolder, 'onnx')
  for (const list of readdirSync(folder).filter((file) => file.endsWith(listSuffix))) {
    const graph = join(folder, list.slice(0, -listSuffix.length))
    const tensors = readSeededTensors(graph) ?? []
    const bytes = tensors.reduce((sum, { length }) => sum + length, 0)
    const path = `${graph}_data`
    if (statSync(path, { throwIfNoEntry: false })?.size !== bytes) writeTensors(path, tensors)
  }
}

function writeTensors(path: string, tensors: readonly SeededTensor[]): void {
  const partial = `${path}.partial`
  const file = openSync(partial, 'w')
  try {
    tensors.forEach((tensor, index) => writeTensor(file, tensor, index))
  } finally {
    closeSync(file)
  }
  renameSync(partial, path)
}

const blocks = new Map<string, Buffer>()

/** Repeats a random block, from a place that differs from tensor to tensor, so that no two matrices are the same. */
function writeTensor(file: number, { length, kind, high = 1 }: SeededTensor, index: number): void {
  const key = `${kind} ${high}`
  const block = blocks.get(key) ?? createBlock(kind, high)
  blocks.set(key, block)
  let start = (index * 40_960) % blockBytes
  for (let written = 0; written < length; ) {
    written += writeSync(file, block, start, Math.min(length - written, blockBytes - start))
    start = 0
  }
}

function createBlock(kind: SeededTensor['kind'], high: number): Buffer {
  const random = createRandom(20_260_914)
  if (kind === 'bytes') return Buffer.from(Uint32Array.from({ length: blockBytes / 4 }, random).buffer)
  const createFloat = () => (random() / 2 ** 31 - 1) * high
  if (kind === 'float32')
    return Buffer.from(Float32Array.from({ length: blockBytes / 4 }, createFloat).buffer)
  return Buffer.from(Uint16Array.from({ length: blockBytes / 2 }, () => toFloat16(createFloat())).buffer)
}

/** xorshift32 (Marsaglia 2003). @returns a function that returns integers in [1, 2^32) */
function createRandom(seed: number): () => number {
  let state = seed
  return () => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return state >>> 0
  }
}

const single = new Float32Array(1)
const singleBits = new Uint32Array(single.buffer)

/** Returns the bits of a float16: truncated, and 0 for values below its normal range. For |value| < 65,536. */
function toFloat16(value: number): number {
  single[0] = value
  const bits = singleBits[0]!
  const exponent = ((bits >>> 23) & 0xff) - 127 + 15
  return ((bits >>> 16) & 0x8000) | (exponent <= 0 ? 0 : (exponent << 10) | ((bits >>> 13) & 0x3ff))
}
