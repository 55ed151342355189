import { drawBits, scramblePosition } from './sampler-arithmetic.js'

/**
 * For tests: returns a uniform number from 0 up to 1, from the random bits that the samplers use for a token at a
 * position.
 */
export function drawUniform(seed: number, position: number, id = 0): number {
  return drawBits(scramblePosition(seed, position), id) / 2 ** 32
}
