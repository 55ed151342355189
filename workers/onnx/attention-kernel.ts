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
   * The number of conversations that one dispatch can compute; undefined for a step of one conversation. If it is a number, `query`,
   * `key`, `value` and `output` have a row for each conversation of the step, `group` names those of the dispatch, and each has
   * a KV cache of its own (`listBindings`).
   */
  readonly conversations: number | undefined
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

/** The most conversations in one dispatch: `group` has a vector of four lengths. */
const maxConversations = 4

/** The size of the uniform `group` of a dispatch for several conversations, in bytes. */
export const attentionGroupSize = 32

/** Packs `group`. @param first the row of the first conversation. @param lastIndexes one less than the length of each, with the token */
export function packAttentionGroup(first: number, lastIndexes: readonly number[]): Uint32Array<ArrayBuffer> {
  const words = new Uint32Array(attentionGroupSize / 4)
  words[0] = first
  words.set(lastIndexes, 4)
  return words
}

/** Returns how many conversations one dispatch can compute if the device allows this number of storage buffers. */
export function countConversations({ isPacked, rotary }: AttentionShape, maxStorageBuffers: number): number {
  const others = (isPacked ? 2 : 4) + (rotary ? 2 : 0)
  return Math.min(maxConversations, Math.floor((maxStorageBuffers - others) / 2))
}

/**
 * Lists the names of the kernel's buffers, by their binding. `keys` and `values` are the KV cache of a conversation, [cacheHeads,
 * capacity, headSize]; for the second conversation of a dispatch, they are `keys1` and `values1`.
 */
export function listBindings({
  isPacked,
  rotary,
  conversations,
}: AttentionShape): ReadonlyMap<number, string> {
  const others = Array.from({ length: (conversations ?? 1) - 1 }, (_, index) => index + 1)
  return new Map<number, string>([
    [0, 'query'],
    ...(isPacked
      ? []
      : ([
          [1, 'key'],
          [2, 'value'],
        ] as const)),
    [3, conversations === undefined ? 'lastIndex' : 'group'],
    [4, 'keys'],
    [5, 'values'],
    [6, 'output'],
    ...(rotary
      ? ([
          [7, 'cosines'],
          [8, 'sines'],
        ] as const)
      : []),
    ...others.flatMap((index) => [
      [7 + 2 * index, `keys${index}`] as const,
      [8 + 2 * index, `values${index}`] as const,
    ]),
  ])
}

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
 * Writes a kernel that computes the whole attention of one layer for one token: it rotates the query and the key, appends the
 * key and the value to the KV cache, and returns the weighted sum of the values. One workgroup computes one query head of one
 * conversation, so [heads, conversations] workgroups are dispatched. The first head of each group writes the cache. No head reads there what another one
 * writes: each computes the new key itself.
 *
 * The cache is read in tiles of 1,024 tokens, with a running maximum (https://arxiv.org/abs/1805.02867).
 */
export function writeAttentionKernel(shape: AttentionShape): string {
  const { type, heads, cacheHeads, headSize, scale, isPacked, conversations, rotary } = shape
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
${conversations === undefined ? '@group(0) @binding(3) var<storage, read> lastIndex: array<i32>;' : groupDeclaration}
@group(0) @binding(4) var<storage, read_write> keys: array<vec4<${element}>>;
@group(0) @binding(5) var<storage, read_write> values: array<vec4<${element}>>;
@group(0) @binding(6) var<storage, read_write> output: array<vec4<${element}>>;
${rotary ? writeTables(element) : ''}
${writeCacheAccess(element, conversations)}

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
  ${conversations === undefined ? 'let last = u32(lastIndex[0]);' : selectConversation}
  // The first vector of the head in the cache.
  let first = cacheHead * (countVectors() / (cacheHeads * vectors)) * vectors;
  if (thread < vectors) {
    newQuery[thread] = scale * rotateQuery(conversation * querySize + head * headSize, thread * 4u, last);
    // Rounded as in the cache.
    let rotated = vec4<${element}>(rotateKey(conversation * keySize + cacheHead * headSize, thread * 4u, last));
    newKey[thread] = vec4f(rotated);
    if (head % headsPerGroup == 0u) {
      writeCache(first + last * vectors + thread, rotated, readValue(cacheHead * vectors + thread));
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
          score += dot(newQuery[index], vec4f(readKeys(place + index)));
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
          sum += weights[token] * vec4f(readValues(first + (start + token) * vectors + column));
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

const groupDeclaration = /* wgsl */ `struct Group {
  first: u32,
  last: vec4u,
}
@group(0) @binding(3) var<uniform> group: Group;
// The conversation of this workgroup in the dispatch, and in the step.
var<private> slot: u32;
var<private> conversation: u32;`

const selectConversation = /* wgsl */ `slot = workgroup.y;
  conversation = group.first + slot;
  let last = group.last[workgroup.y];`

/** Writes functions for the KV cache of the conversation of a workgroup. */
function writeCacheAccess(element: string, conversations: number | undefined): string {
  const others = Array.from({ length: (conversations ?? 1) - 1 }, (_, index) => index + 1)
  /** @param code returns the code for one cache. @param suffix of its names */
  const choose = (code: (suffix: string) => string) => {
    const cases = others.map((index) => `case ${index}u: { ${code(String(index))} }`)
    return others.length === 0 ? code('') : `switch slot { ${cases.join(' ')} default: { ${code('')} } }`
  }
  const declarations = others.map(
    (
      index,
    ) => `@group(0) @binding(${7 + 2 * index}) var<storage, read_write> keys${index}: array<vec4<${element}>>;
@group(0) @binding(${8 + 2 * index}) var<storage, read_write> values${index}: array<vec4<${element}>>;`,
  )
  return `${declarations.join('\n')}
${conversations === undefined ? 'const conversation = 0u;' : ''}
fn countVectors() -> u32 { ${choose((suffix) => `return arrayLength(&keys${suffix});`)} }
fn readKeys(index: u32) -> vec4<${element}> { ${choose((suffix) => `return keys${suffix}[index];`)} }
fn readValues(index: u32) -> vec4<${element}> { ${choose((suffix) => `return values${suffix}[index];`)} }
fn writeCache(index: u32, newKey: vec4<${element}>, newValue: vec4<${element}>) {
  ${choose((suffix) => `keys${suffix}[index] = newKey; values${suffix}[index] = newValue;`)}
}`
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
