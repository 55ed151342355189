import { expect, it } from 'vitest'
import type { BatchStep, GpuBatch } from './batch-steps.js'
import { startSteps } from './start-steps.js'

/* The conversations and the batch are stand-ins. Each step is the name of its conversation. */

function open({ fails = [], alone = [] }: { readonly fails?: string[]; readonly alone?: string[] } = {}) {
  const log: string[] = []
  const outcomes = new Map<string, string>()
  const rows = ['a', 'b', 'c', 'd'].map((name) => ({
    name,
    canBatch: !alone.includes(name),
    async startStep() {
      await new Promise((resolve) => setTimeout(resolve, 1))
      if (fails.includes(name)) throw new Error(name)
      log.push(`${name}, while ${[...outcomes.keys()].join('+')} are settled`)
    },
    prepareStep() {
      if (fails.includes(name)) throw new Error(name)
      return name as unknown as BatchStep
    },
    reportStarted() {},
  }))
  const batch: GpuBatch = {
    maxRows: 4,
    submit(steps) {
      log.push(steps.join('+'))
      if (fails.includes('batch')) throw new Error('batch')
      return steps.map(() => undefined)
    },
    destroy() {},
  }
  const start = (order: string) =>
    startSteps(
      { batch, rows },
      Array.from(order, (name) => rows.find((row) => row.name === name)!),
      {
        started: ({ name }) => void outcomes.set(name, 'started'),
        failed: ({ name }, reason) => void outcomes.set(name, String(reason)),
      },
    )
  return { start, log, outcomes }
}

it('steps that are computed together are in the same order, whoever asked first', async () => {
  const { start, log } = open()
  await start('cab')
  await start('bca')
  expect(log).toEqual(['a+b+c', 'a+b+c'])
})

it('steps that are computed together do not wait for one that is recorded', async () => {
  const { start, log } = open({ alone: ['a'] })
  await start('abc')
  expect(log).toEqual(['b+c', 'a, while b+c are settled'])
})

it.each([
  ['a', { a: 'Error: a', b: 'started', c: 'started', d: 'started' }, 'b+c'],
  ['d', { a: 'started', b: 'started', c: 'started', d: 'Error: d' }, 'a+b+c'],
  ['batch', { a: 'Error: batch', b: 'Error: batch', c: 'Error: batch', d: 'started' }, 'a+b+c'],
])('if %s fails, the others are started', async (name, expected, submitted) => {
  const { start, log, outcomes } = open({ fails: [name], alone: ['d'] })
  await start('dabc')
  expect(Object.fromEntries(outcomes)).toEqual(expected)
  expect(log[0]).toBe(submitted)
})
