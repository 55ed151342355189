import { describe, expect, it } from 'vitest'
import { computeShown, floorToCharacter, logArrivals, maxLagMs } from './typewriter.js'

interface Arrival {
  readonly timeMs: number
  readonly length: number
}

/** Draws at 60 frames a second until everything is shown; one entry a frame. */
function drawAll(arrivals: readonly Arrival[], frameMs = 1000 / 60) {
  const log = logArrivals()
  const frames: { timeMs: number; shown: number }[] = []
  const total = arrivals.reduce((sum, { length }) => sum + length, 0)
  let next = 0
  let arrived = 0
  let shown = 0
  for (let timeMs = frameMs; shown < total; timeMs += frameMs) {
    for (; next < arrivals.length && arrivals[next]!.timeMs <= timeMs; next += 1) {
      arrived += arrivals[next]!.length
      log.add(arrivals[next]!.timeMs, arrived)
    }
    shown = computeShown({ shown, arrived, overdue: log.computeOverdue(timeMs), elapsedMs: frameMs })
    frames.push({ timeMs, shown })
  }
  return frames
}

function arrivedBy(arrivals: readonly Arrival[], timeMs: number): number {
  return arrivals.filter((arrival) => arrival.timeMs <= timeMs).reduce((sum, { length }) => sum + length, 0)
}

const streams: Record<string, readonly Arrival[]> = {
  'a slow model (225 ms a token)': Array.from({ length: 20 }, (_, i) => ({ timeMs: i * 225, length: 4 })),
  'a fast model (1 ms a token)': Array.from({ length: 500 }, (_, i) => ({ timeMs: i, length: 4 })),
  'one large burst with a trickle behind it': [
    { timeMs: 0, length: 20_000 },
    ...Array.from({ length: 60 }, (_, i) => ({ timeMs: 16 * i, length: 1 })),
  ],
}

describe.each(Object.entries(streams))('pacing %s', (_, arrivals) => {
  it('never draws what has not arrived, and never goes back', () => {
    let previous = 0
    for (const { timeMs, shown } of drawAll(arrivals)) {
      expect(shown).toBeLessThanOrEqual(arrivedBy(arrivals, timeMs))
      expect(shown).toBeGreaterThanOrEqual(previous)
      previous = shown
    }
  })

  it('is never more than the greatest lag behind', () => {
    for (const { timeMs, shown } of drawAll(arrivals)) {
      expect(shown).toBeGreaterThanOrEqual(arrivedBy(arrivals, timeMs - maxLagMs))
    }
  })

  it('keeps the greatest lag at 4 frames a second too', () => {
    for (const { timeMs, shown } of drawAll(arrivals, 250)) {
      expect(shown).toBeGreaterThanOrEqual(arrivedBy(arrivals, timeMs - maxLagMs))
    }
  })
})

it('spreads the characters of one token over several frames', () => {
  const frames = drawAll([{ timeMs: 0, length: 12 }])
  expect(frames.length).toBeGreaterThan(4)
  expect(frames[0]!.shown).toBeLessThan(6)
})

it('draws nothing for a text that has not begun', () => {
  expect(computeShown({ shown: 0, arrived: 0, overdue: 0, elapsedMs: 16 })).toBe(0)
})

it('never cuts a surrogate pair', () => {
  const text = 'a🐉b'
  expect([0, 1, 1.9, 2, 2.5, 3, 4].map((length) => floorToCharacter(text, length))).toEqual([
    0, 1, 1, 1, 1, 3, 4,
  ])
})
