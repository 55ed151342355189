import { expect, it } from 'vitest'
import { describeRanking } from './logprobs.js'
import { rankLogits } from './ranking.js'

/** Stands in for a tokenizer: the text of a token is its id. */
const tokenizer = { decode: (ids: readonly number[]) => ids.join(), readBytes: (id: number) => [id] }

function computeLogprobs(logits: Float32Array, tokenId: number, count: number, named = tokenizer) {
  return describeRanking(rankLogits(logits, tokenId, count), tokenId, named)
}

it('log-probabilities are those of a softmax over all logits', () => {
  const { logprob, top } = computeLogprobs(Float32Array.of(Math.log(1), Math.log(2), Math.log(5)), 1, 3)
  expect(logprob).toBeCloseTo(Math.log(2 / 8), 6)
  expect(top.map(({ tokenId }) => tokenId)).toEqual([2, 1, 0])
  expect(top.reduce((sum, token) => sum + Math.exp(token.logprob), 0)).toBeCloseTo(1, 6)
})

it('the likeliest tokens are sorted, with ties by id, and the chosen token need not be among them', () => {
  const { tokenId, text, top } = computeLogprobs(Float32Array.of(0, 3, 3, -1, 9, 3), 3, 3)
  expect(top.map((token) => token.tokenId)).toEqual([4, 1, 2])
  expect({ tokenId, text }).toEqual({ tokenId: 3, text: '3' })
})

it('the number of likeliest tokens can be zero or exceed the vocabulary', () => {
  expect(computeLogprobs(Float32Array.of(1, 2), 0, 0).top).toEqual([])
  expect(computeLogprobs(Float32Array.of(1, 2), 0, 5).top).toHaveLength(2)
})

it('log-probabilities stay finite for logits far apart and far from zero', () => {
  const { logprob, top } = computeLogprobs(Float32Array.of(-1e4, 1e4, -Infinity), 1, 2)
  expect(logprob).toBeCloseTo(0, 6)
  expect(top[1]?.logprob).toBeCloseTo(-2e4, 0)
})

it('only a token that is a part of a character has bytes', () => {
  const decode = ([id]: readonly number[]) => (id === 1 ? '\uFFFD' : 'a')
  const { bytes, top } = computeLogprobs(Float32Array.of(1, 2), 1, 2, { ...tokenizer, decode })
  expect(bytes).toEqual([1])
  expect(top.map((token) => token.bytes)).toEqual([[1], undefined])
})
