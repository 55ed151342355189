/** What the attention of one layer computes for one token. */
export interface AttentionShape {
  readonly type: 'float32' | 'float16'
  /** The number of query heads: a multiple of `cacheHeads`. */
  readonly heads: number
  /** The number of heads of keys and values. */
  readonly cacheHeads: number
  /** A multiple of 4. */
  readonly headSize: number
  readonly scale: number
  /** True if the query, the key and the value are one tensor, in this order. Then only `query` is bound. */
  readonly isPacked: boolean
  /**
   * True if `query`, `key`, `value`, `lastIndex` and `output` have a row for each of several conversations. The kernel computes the
   * row whose index is in `conversation`.
   */
  readonly isBatched: boolean
  /** How the kernel rotates queries and keys; undefined if they are rotated already. */
  readonly rotary: Rotary | undefined
}

interface Rotary {
  /** The number of cosines in a row of the table: half of the elements that are rotated. */
  readonly width: number
  /** True if neighbors are rotated together; false if an element is rotated with the one `width` elements later. */
  readonly isInterleaved: boolean
}

/** The largest head: a workgroup has a thread for each four elements, and memory for four heads. */
const maxHeadSize = 256

/** The number of threads that compute one head. Every WebGPU device allows it. */
const threads = 256
/** The number of threads whose values one thread adds up. */
const addedThreads = 16
/** The number of tokens whose weights are in memory at a time. */
const tileTokens = 1024

/**
 * The bindings of the kernel, in order. The rotary tables are bound only if the kernel rotates; the key and the value only if
 * they are not packed; the uniform `conversation` only if the kernel is batched.
 */
export const attentionBindings = [
  'query',
  'key',
  'value',
  'lastIndex',
  'keys',
  'values',
  'output',
  'cosines',
  'sines',
  'conversation',
] as const

/** The buffers of the kernel. `keys` and `values` are the KV cache of one conversation, [cacheHeads, capacity, headSize]. */
export type AttentionBinding = (typeof attentionBindings)[number]

/** True if `writeAttentionKernel` can write a kernel for the shape. */
export function canComputeAttention({ heads, cacheHeads, headSize, rotary }: AttentionShape): boolean {
  return (
    cacheHeads > 0 &&
    heads % cacheHeads === 0 &&
    headSize > 0 &&
    headSize % 4 === 0 &&
    headSize <= maxHeadSize &&
    (rotary === undefined || (rotary.width > 0 && 2 * rotary.width <= headSize))
  )
}

/**
 * Writes a kernel that computes the whole attention of one layer for one token of one conversation: it rotates the query and the key, appends the
 * key and the value to the KV cache, and returns the weighted sum of the values. One workgroup computes one query head, so
 * `heads` workgroups are dispatched. The first head of each group writes the cache. No head reads there what another one
 * writes: each computes the new key itself.
 *
 * The cache is read in tiles of 1,024 tokens, with a running maximum (https://arxiv.org/abs/1805.02867).
 */
export function writeAttentionKernel(shape: AttentionShape): string {
  const { type, heads, cacheHeads, headSize, scale, isPacked, isBatched, rotary } = shape
  const packedSize = (heads + 2 * cacheHeads) * headSize
  const element = type === 'float16' ? 'f16' : 'f32'
  const vectors = headSize / 4
  return /* wgsl */ `${type === 'float16' ? 'enable f16;' : ''}
const heads = ${heads}u;
const cacheHeads = ${cacheHeads}u;
const headsPerGroup = ${heads / cacheHeads}u;
const headSize = ${headSize}u;
// The sizes of a conversation in the tensors of the query and the key.
const querySize = ${isPacked ? packedSize : heads * headSize}u;
const keySize = ${isPacked ? packedSize : cacheHeads * headSize}u;
// The number of vectors of four elements in a head.
const vectors = ${vectors}u;
const threads = ${threads}u;
// Values are read by rows of threads, with a thread for each vector.
const rows = ${Math.floor(threads / vectors)}u;
const tileTokens = ${tileTokens}u;
const scale = ${formatFloat(scale)};
const lowest = -3.4e38;

@group(0) @binding(0) var<storage, read> query: array<${element}>;
${isPacked ? '' : writeKeyAndValue(element)}
@group(0) @binding(3) var<storage, read> lastIndex: array<i32>;
@group(0) @binding(4) var<storage, read_write> keys: array<vec4<${element}>>;
@group(0) @binding(5) var<storage, read_write> values: array<vec4<${element}>>;
@group(0) @binding(6) var<storage, read_write> output: array<vec4<${element}>>;
${rotary ? writeTables(element) : ''}
${isBatched ? '@group(0) @binding(9) var<uniform> conversation: u32;' : 'const conversation = 0u;'}

var<workgroup> newQuery: array<vec4f, vectors>;
var<workgroup> newKey: array<vec4f, vectors>;
var<workgroup> weights: array<f32, tileTokens>;
var<workgroup> sums: array<vec4f, threads>;
var<workgroup> combined: array<f32, threads>;

${writeRotation('rotateQuery', 'query', 0, rotary)}
${writeRotation('rotateKey', isPacked ? 'query' : 'key', isPacked ? heads * headSize : 0, rotary)}
${writeValueReader(element, isPacked ? (heads + cacheHeads) * headSize : undefined)}
${writeReduction('findMaximum', 'max(result, other)')}
${writeReduction('addUp', 'result + other')}

@compute @workgroup_size(threads)
fn attend(@builtin(workgroup_id) workgroup: vec3u, @builtin(local_invocation_index) thread: u32) {
  let head = workgroup.x;
  let cacheHead = head / headsPerGroup;
  let last = u32(lastIndex[conversation]);
  // The first vector of the head in the cache.
  let first = cacheHead * (arrayLength(&keys) / (cacheHeads * vectors)) * vectors;
  if (thread < vectors) {
    newQuery[thread] = scale * rotateQuery(conversation * querySize + head * headSize, thread * 4u, last);
    // Rounded as in the cache.
    let rotated = vec4<${element}>(rotateKey(conversation * keySize + cacheHead * headSize, thread * 4u, last));
    newKey[thread] = vec4f(rotated);
    if (head % headsPerGroup == 0u) {
      keys[first + last * vectors + thread] = rotated;
      values[first + last * vectors + thread] = readValue(cacheHead * vectors + thread);
    }
  }
  workgroupBarrier();
  let row = thread / vectors;
  let column = thread % vectors;
  var sum = vec4f();
  var largest = lowest;
  var total = 0.0;
  for (var start = 0u; start <= last; start += tileTokens) {
    let count = min(tileTokens, last + 1u - start);
    var maximum = lowest;
    for (var token = thread; token < count; token += threads) {
      var score = 0.0;
      if (start + token == last) {
        for (var index = 0u; index < vectors; index += 1u) { score += dot(newQuery[index], newKey[index]); }
      } else {
        let place = first + (start + token) * vectors;
        for (var index = 0u; index < vectors; index += 1u) {
          score += dot(newQuery[index], vec4f(keys[place + index]));
        }
      }
      weights[token] = score;
      maximum = max(maximum, score);
    }
    let newLargest = max(largest, findMaximum(thread, maximum));
    var share = 0.0;
    for (var token = thread; token < count; token += threads) {
      let weight = exp(weights[token] - newLargest);
      weights[token] = weight;
      share += weight;
    }
    let correction = exp(largest - newLargest);
    total = total * correction + addUp(thread, share);
    sum *= correction;
    if (row < rows) {
      for (var token = row; token < count; token += rows) {
        if (start + token == last) {
          sum += weights[token] * vec4f(readValue(cacheHead * vectors + column));
        } else {
          sum += weights[token] * vec4f(values[first + (start + token) * vectors + column]);
        }
      }
    }
    largest = newLargest;
    workgroupBarrier();
  }
  sums[thread] = sum;
  workgroupBarrier();
  if (thread < vectors) {
    for (var other = 1u; other < rows; other += 1u) { sum += sums[other * vectors + thread]; }
    output[(conversation * heads + head) * vectors + thread] = vec4<${element}>(sum / total);
  }
}
`
}

function writeTables(element: string): string {
  return `@group(0) @binding(7) var<storage, read> cosines: array<${element}>;
@group(0) @binding(8) var<storage, read> sines: array<${element}>;`
}

function writeKeyAndValue(element: string): string {
  return `@group(0) @binding(1) var<storage, read> key: array<${element}>;
@group(0) @binding(2) var<storage, read> value: array<vec4<${element}>>;`
}

/** Writes a function that returns a vector of the value. @param start where the value starts in the packed tensor */
function writeValueReader(element: string, start: number | undefined): string {
  const parts = [0, 1, 2, 3].map(
    (index) => `query[conversation * querySize + ${start}u + 4u * index + ${index}u]`,
  )
  return `fn readValue(index: u32) -> vec4<${element}> {
  return ${start === undefined ? 'value[conversation * cacheHeads * vectors + index]' : `vec4<${element}>(${parts.join(', ')})`};
}`
}

/**
 * Writes a function that returns four elements of a head at a position, rotated.
 * @param offset where the tensor starts in the buffer
 */
function writeRotation(
  functionName: string,
  buffer: 'query' | 'key',
  offset: number,
  rotary: Rotary | undefined,
): string {
  const read = (place: string) => `f32(${buffer}[${offset}u + start + ${place}])`
  if (!rotary)
    return `fn ${functionName}(start: u32, element: u32, position: u32) -> vec4f {
  return vec4f(${[0, 1, 2, 3].map((index) => read(`element + ${index}u`)).join(', ')});
}`
  const { width, isInterleaved } = rotary
  const [pair, isFirst, partner] = isInterleaved
    ? ['element / 2u', 'element % 2u == 0u', 'element ^ 1u']
    : [
        `element % ${width}u`,
        `element < ${width}u`,
        `select(element - ${width}u, element + ${width}u, element < ${width}u)`,
      ]
  return `fn ${functionName}One(start: u32, element: u32, position: u32) -> f32 {
  let own = ${read('element')};
  if (element >= ${2 * width}u) { return own; }
  let place = position * ${width}u + ${pair};
  let other = ${read(`(${partner})`)};
  return own * f32(cosines[place]) + select(other, -other, ${isFirst}) * f32(sines[place]);
}

fn ${functionName}(start: u32, element: u32, position: u32) -> vec4f {
  return vec4f(${[0, 1, 2, 3].map((index) => `${functionName}One(start, element + ${index}u, position)`).join(', ')});
}`
}

/** Writes a function that combines the values of all threads, and returns the result on every thread. */
function writeReduction(name: string, combination: string): string {
  return `fn ${name}(thread: u32, own: f32) -> f32 {
  combined[thread] = own;
  workgroupBarrier();
  var result = own;
  if (thread % ${addedThreads}u == 0u) {
    for (var index = 1u; index < ${addedThreads}u; index += 1u) {
      let other = combined[thread + index];
      result = ${combination};
    }
    combined[thread] = result;
  }
  workgroupBarrier();
  result = combined[0];
  for (var index = ${addedThreads}u; index < threads; index += ${addedThreads}u) {
    let other = combined[index];
    result = ${combination};
  }
  workgroupBarrier();
  return result;
}`
}

/** Writes a number as a 32-bit float in WGSL. */
function formatFloat(value: number): string {
  const text = Math.fround(value).toString()
  return /[.e]/.test(text) ? text : `${text}.0`
}
