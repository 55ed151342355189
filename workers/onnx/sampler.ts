/** How a token is chosen, with nothing left open: `SamplingOptions` says what each number means. */
export interface Sampling {
  readonly temperature: number
  readonly topK: number
  readonly topP: number
  readonly minP: number
  readonly repetitionPenalty: number
}

/**
 * Chooses the next token. With `temperature: 0` the likeliest, else a draw from the truncated distribution,
 * in the order of transformers' `LogitsProcessorList`: penalty, temperature, top-k, top-p, min-p.
 * @param logits [vocabulary]; changed in place
 * @param seen tokens of the prompt and the answer so far, for the repetition penalty
 * @param draw where in the distribution to take, from 0 up to 1
 */
export function sampleToken(
  logits: Float32Array,
  { temperature, topK, topP, minP, repetitionPenalty }: Sampling,
  seen: ReadonlySet<number>,
  draw: number,
): number {
  if (repetitionPenalty !== 1) penalizeRepetition(logits, seen, repetitionPenalty)
  if (temperature === 0) return findLargest(logits)
  const order = sortDescending(logits)
  const count = topK === 0 ? order.length : Math.min(topK, order.length)
  const largest = logits[order[0]!]!
  const weights = Float64Array.from(order.subarray(0, count), (id) =>
    Math.exp((logits[id]! - largest) / temperature),
  )
  const kept = weights.subarray(0, countKept(weights, topP, minP))
  const target = draw * sum(kept)
  let reached = 0
  for (const [rank, weight] of kept.entries()) {
    reached += weight
    if (reached > target) return order[rank]!
  }
  return order[kept.length - 1]!
}

function penalizeRepetition(logits: Float32Array, seen: ReadonlySet<number>, penalty: number): void {
  for (const id of seen) {
    const logit = logits[id]!
    logits[id] = logit > 0 ? logit / penalty : logit * penalty
  }
}

/** The first of the largest. */
function findLargest(logits: Float32Array): number {
  let best = 0
  for (let id = 1; id < logits.length; id += 1) if (logits[id]! > logits[best]!) best = id
  return best
}

/**
 * Token ids from the largest logit to the smallest, equal ones by id.
 * A native sort over one number that holds both: the logit as a 32-bit integer in the same order, then the id.
 */
function sortDescending(logits: Float32Array): Uint32Array {
  const idBits = 2 ** 20
  const bits = new Uint32Array(logits.slice().buffer)
  const keys = new Float64Array(logits.length)
  for (let id = 0; id < keys.length; id += 1) {
    const bit = bits[id]!
    // Positive floats order as their bits, negative ones the other way round; descending, so that all is turned.
    const descending = bit & 0x80000000 ? bit : 0x7fffffff - bit
    keys[id] = (descending >>> 0) * idBits + id
  }
  return Uint32Array.from(keys.toSorted(), (key) => key % idBits)
}

/** How many of the descending weights top-p and min-p leave; never none. */
function countKept(weights: Float64Array, topP: number, minP: number): number {
  const enough = topP * sum(weights)
  let reached = 0
  let count = 0
  // Relative to the largest weight, which is 1.
  while (
    count < weights.length &&
    weights[count]! >= minP &&
    (count === 0 || topP === 1 || reached < enough)
  ) {
    reached += weights[count]!
    count += 1
  }
  return Math.max(1, count)
}

function sum(values: Float64Array): number {
  return values.reduce((total, value) => total + value, 0)
}

/**
 * A uniform number from 0 up to 1 that depends on nothing but the seed and the token's place, so that a generation
 * that is taken up again draws as it would have. Two rounds of MurmurHash3's 32-bit finalizer (Appleby, public domain).
 */
export function drawUniform(seed: number, position: number): number {
  return scramble(scramble(seed ^ 0x9e3779b9) + Math.imul(position, 0x9e3779b1)) / 2 ** 32
}

function scramble(value: number): number {
  let bits = value | 0
  bits = Math.imul(bits ^ (bits >>> 16), 0x85ebca6b)
  bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2ae35)
  return (bits ^ (bits >>> 16)) >>> 0
}
