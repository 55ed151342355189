import type { Sampling } from './sampler.js'

/*
 * The arithmetic of the CPU sampler. The GPU sampler (sampler-kernel.ts) repeats it, operation for operation.
 * WGSL does not define the precision of `exp`, `log` and division. So everything here uses 32-bit integers, or single
 * additions and multiplications of 32-bit floats, which all devices round in the same way.
 */

/** Returned instead of an id if no token can be chosen: a logit is NaN or +Infinity, or all logits are -Infinity. */
export const noToken = 0xffffffff

/** The key of a logit that is NaN or +Infinity. It is larger than all other keys, so the largest key shows such a logit. */
export const brokenKey = 0xffffffff
/** The key of a logit that is -Infinity. */
export const maskedKey = 0

/** The number of fractional bits of an exponent (`measureExponent`). A weight is 2^-exponent; exponents go from 0 to 31. */
const exponentBits = 27
/** If top-k, top-p or min-p is used, tokens less likely than 2^-31 times the likeliest token are dropped as well. */
const exponentReach = 31
export const unreachable = 0xffffffff

/** A `Sampling` converted to the 32-bit floats and integers that both samplers compute with. */
export interface SamplingNumbers {
  /** The number of tokens that top-k keeps; 0 keeps all tokens. */
  readonly topK: number
  /** top-p · 2^32; 0 keeps all tokens. */
  readonly topP: number
  /** The largest exponent that min-p keeps; `unreachable` keeps all tokens. */
  readonly largestExponent: number
  /** The amount that one unit of `computeNoise` adds to a logit; 0 means greedy sampling. */
  readonly noiseScale: number
  /** The factor that converts a distance between two logits to an exponent. */
  readonly exponentScale: number
  /** A token at this distance from the largest logit, or further, is `unreachable`. */
  readonly reach: number
  readonly penalty: number
  /** 1 / penalty, computed here because WGSL's multiplication is exact, but its division is not. */
  readonly reward: number
  readonly frequency: number
  readonly presence: number
}

/**
 * Converts sampling options to the numbers that both samplers compute with.
 * @param vocabulary the number of tokens; a top-k of this number or more truncates nothing
 */
export function computeNumbers(sampling: Sampling, vocabulary: number): SamplingNumbers {
  const { temperature, topK, topP, minP, repetitionPenalty } = sampling
  const isGreedy = temperature === 0
  // Below this temperature, the noise is lost when logits are rounded: sampling is then greedy, but random among ties.
  const heat = Math.max(temperature, 1e-6)
  const exponent = minP > 0 ? Math.floor(-Math.log2(minP) * 2 ** exponentBits) : unreachable
  return {
    topK: isGreedy || topK >= vocabulary ? 0 : Math.max(0, topK),
    topP: isGreedy || topP >= 1 ? 0 : Math.max(1, Math.min(2 ** 32 - 1, Math.round(topP * 2 ** 32))),
    largestExponent: isGreedy ? unreachable : Math.min(exponent, unreachable),
    noiseScale: isGreedy ? 0 : Math.fround((heat * Math.LN2) / 2 ** 16),
    exponentScale: Math.fround((Math.LOG2E / heat) * 2 ** exponentBits),
    reach: Math.fround(exponentReach * heat * Math.LN2),
    penalty: Math.fround(repetitionPenalty),
    reward: Math.fround(1 / repetitionPenalty),
    frequency: Math.fround(sampling.frequencyPenalty ?? 0),
    presence: Math.fround(sampling.presencePenalty ?? 0),
  }
}

const float = new Float32Array(1)
const bits = new Uint32Array(float.buffer)

/** Returns the bits of a number as a 32-bit float. */
export function toBits(value: number): number {
  float[0] = value
  return bits[0]!
}

function fromBits(value: number): number {
  bits[0] = value
  return float[0]!
}

/**
 * Converts the bits of a logit to a key, an integer with the same order as the logit (Herf 2001, "Radix tricks"): positive
 * floats have the order of their bits, negative floats the reverse order. Magnitudes below 2^-126 become 0, since devices
 * may flush them to 0; magnitudes larger than 2^100 become 2^100.
 */
export function toKey(logitBits: number): number {
  const magnitude = logitBits & 0x7fffffff
  const isNegative = logitBits >>> 31 === 1
  if (magnitude >= 0x7f800000) return isNegative && magnitude === 0x7f800000 ? maskedKey : brokenKey
  if (magnitude < 0x00800000) return 0x80000000
  const bounded = Math.min(magnitude, 0x71800000)
  return isNegative ? ~(bounded | 0x80000000) >>> 0 : (bounded | 0x80000000) >>> 0
}

/** Converts a key back to a logit. @param key neither `brokenKey` nor `maskedKey` */
export function toLogit(key: number): number {
  return fromBits(key >>> 31 === 1 ? key & 0x7fffffff : ~key)
}

/**
 * Measures how much less likely a token is than the likeliest token. The ratio of the probabilities is
 * 2^-(exponent / 2^27), where `exponent` is the returned number.
 */
export function measureExponent(key: number, largestKey: number, numbers: SamplingNumbers): number {
  if (key === maskedKey) return unreachable
  const distance = Math.fround(toLogit(largestKey) - toLogit(key))
  if (distance >= numbers.reach) return unreachable
  return Math.fround(distance * numbers.exponentScale) >>> 0
}

/**
 * Computes the weight 2^-(exponent / 2^27) in units of 2^-31, with a precision of 16 bits. Weights are integers, so their
 * sum is the same in any order.
 */
export function computeWeight(exponent: number): number {
  if (exponent === unreachable) return 0
  const fraction = (exponent >>> 11) & 0xffff
  // 1 - 2^-x = x·(0.69315 - 0.23996·x + 0.05415·x² - 0.00734·x³), least squares at Chebyshev nodes; error 8e-6.
  const cubic = 3549 - ((481 * fraction) >>> 16)
  const square = 15726 - ((cubic * fraction) >>> 16)
  const slope = 45426 - ((square * fraction) >>> 16)
  const significand = 65536 - ((slope * fraction) >>> 16)
  return ((significand << 15) >>> 0) >>> (exponent >>> exponentBits)
}

/** Computes log2 of an integer from 1 to 2^32 - 1, in units of 2^-16. */
function computeLog2(value: number): number {
  const zeros = Math.clz32(value)
  const x = ((value << zeros) >>> 15) & 0xffff
  // log2(1 + x) = x + x·(1 - x)·(0.44266 - 0.27673·x + 0.18486·x² - 0.09839·x³ + 0.02628·x⁴); error 9e-6. The coefficients
  // are a fit as in `computeWeight`.
  const quartic = 6448 - ((1722 * x) >>> 16)
  const cubic = 12115 - ((quartic * x) >>> 16)
  const square = 18136 - ((cubic * x) >>> 16)
  const bow = 29010 - ((square * x) >>> 16)
  return (31 - zeros) * 65536 + x + ((((x * (65536 - x)) >>> 14) * bow) >>> 18)
}

/**
 * Computes noise from the standard Gumbel distribution: its quantile -ln(-ln u) / ln 2, in units of 2^-16. The number u is
 * made of 32 random bits. The token with the largest `logit + temperature · noise` is a draw from the softmax (Gumbel 1954;
 * Maddison et al. 2014, arXiv 1411.0030).
 */
export function computeNoise(random: number): number {
  // u = 1 - odd / 2^32, which is never 0 and never 1.
  const odd = (random | 1) >>> 0
  if (odd < 0x80000000) {
    // For u near 1, -ln u is slightly more than t = 1 - u. log2(-ln(1 - t) / t) is a polynomial in 2t; error 3e-5.
    const x = odd >>> 15
    const square = 254 + ((1656 * x) >>> 16)
    const slope = 5385 + ((square * x) >>> 16)
    const excess = ((23585 + ((slope * x) >>> 16)) * x) >>> 16
    return 32 * 65536 - computeLog2(odd) - excess
  }
  const logarithm = 32 * 65536 - computeLog2((2 ** 32 - odd) >>> 0)
  // 34653 is -log2(ln 2), since the logarithm above has base 2.
  return 16 * 65536 - computeLog2(logarithm) + 34653
}

/** Scrambles 32 bits with the finalizer of MurmurHash3 (Appleby, public domain). */
function scramble(value: number): number {
  let mixed = value | 0
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b)
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35)
  return (mixed ^ (mixed >>> 16)) >>> 0
}

export function scrambleSeed(seed: number): number {
  return scramble(seed ^ 0x9e3779b9)
}

/** Returns the part of the random bits that is the same for all tokens of a position. */
export function scramblePosition(seed: number, position: number): number {
  return scramble(scrambleSeed(seed) + Math.imul(position, 0x9e3779b1))
}

/** Returns 32 random bits that depend only on the seed, the position and the token. */
export function drawBits(positionBits: number, id: number): number {
  return scramble(positionBits + scramble(id + 0x9e3779b9))
}
