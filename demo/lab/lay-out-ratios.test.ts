import { expect, test } from 'vitest'
import { layOutRatios } from './lay-out-ratios.js'

const spread = (median: number, min = median, max = median) => ({ median, min, max })

test('ratios of 0.5 and 2 are equally far from 1', () => {
  const scale = layOutRatios([{ ratio: spread(1), bound: undefined }])
  expect(scale.one).toBeCloseTo(0.5)
  expect(scale.place({ ratio: spread(1, 0.5, 2), bound: undefined })).toEqual({
    median: scale.one,
    min: 0,
    max: 1,
    limit: undefined,
  })
})

test('the scale includes every spread and every bound on a ratio', () => {
  const rows = [
    { ratio: spread(0.2, 0.1, 0.4), bound: { of: 'ratio', kind: 'at most', limit: 0.05 } },
    { ratio: spread(3, 2, 4), bound: { of: 'value', kind: 'at most', limit: 900 } },
  ] as const
  const scale = layOutRatios(rows)
  const [low, high] = rows.map((row) => scale.place(row))
  expect(low!.limit).toBe(0)
  expect(high!.max).toBe(1)
  expect(high!.limit).toBeUndefined()
  expect([low!.limit, low!.min, low!.median, low!.max, scale.one, high!.min]).toEqual(
    [low!.limit!, low!.min, low!.median, low!.max, scale.one, high!.min].toSorted((a, b) => a - b),
  )
})

test('an infinite ratio is drawn at the end of the scale', () => {
  const row = { ratio: spread(Infinity, 0, Infinity), bound: undefined }
  expect(layOutRatios([row]).place(row)).toMatchObject({ median: 1, min: 0, max: 1 })
})
