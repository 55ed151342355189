import { describe, expect, it } from 'vitest'
import { createTypewriter, maxLagMs, type Display } from './typewriter.js'

const frameMs = 1000 / 60

/** A display with a manual clock. Its frames are `everyMs` apart; Infinity means no frames. */
function createDisplay(everyMs: number) {
  let nowMs = 0
  let count = 0
  let drawsAtOnce = false
  const frames = new Map<number, () => void>()
  const timers = new Map<number, { readonly atMs: number; readonly draw: () => void }>()
  const listeners = new Set<() => void>()
  const display: Display = {
    now: () => nowMs,
    requestFrame: (draw) => (frames.set((count += 1), draw), count),
    cancelFrame: (frame) => void frames.delete(frame),
    startTimer: (draw, ms) => (timers.set((count += 1), { atMs: nowMs + ms, draw }), count),
    stopTimer: (timer) => void timers.delete(timer),
    drawsAtOnce: () => drawsAtOnce,
    onVisibilityChange(listener) {
      listeners.add(listener)
      return () => void listeners.delete(listener)
    },
  }
  return {
    display,
    now: () => nowMs,
    isIdle: () => frames.size + timers.size + listeners.size === 0,
    setDrawsAtOnce: (value: boolean) => (drawsAtOnce = value),
    changeVisibility: () => listeners.forEach((listener) => listener()),
    /** Advances the clock by one millisecond. */
    tick() {
      const isFrame = Math.floor((nowMs + 1) / everyMs) > Math.floor(nowMs / everyMs)
      nowMs += 1
      for (const [timer, { atMs, draw }] of timers) {
        if (atMs <= nowMs && timers.delete(timer)) draw()
      }
      if (!isFrame) return
      const due = [...frames.values()]
      frames.clear()
      for (const draw of due) draw()
    },
  }
}

/** Text by arrival time in milliseconds. */
type Arrivals = ReadonlyMap<number, string>

/** Writes all text as it arrives, and records after each millisecond how much has arrived and how much is drawn. */
function drawAll(arrivals: Arrivals, everyMs: number) {
  const { display, tick, isIdle } = createDisplay(everyMs)
  const all = [...arrivals.values()].join('')
  let shown = 0
  let isFaithful = true
  const typewriter = createTypewriter((text) => {
    const isWhole = !/[\uD800-\uDBFF]$/.test(text.slice(-1))
    isFaithful &&= isWhole && text.length > shown && all.startsWith(text)
    shown = text.length
  }, display)
  const steps: { readonly arrived: number; readonly shown: number }[] = []
  let arrived = 0
  for (let timeMs = 0; timeMs <= Math.max(...arrivals.keys()) + maxLagMs; timeMs += 1) {
    const more = arrivals.get(timeMs) ?? ''
    arrived += more.length
    typewriter.write(more)
    steps.push({ arrived, shown })
    tick()
  }
  return { steps, isFaithful, isIdle: isIdle() }
}

function createRandom(seed: number) {
  let state = seed
  // Mulberry32.
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
  }
}

/** Bursts of up to 800 characters, up to 300 ms apart. */
function createBursts(seed: number): Arrivals {
  const random = createRandom(seed)
  const arrivals = new Map<number, string>()
  let timeMs = 0
  for (let burst = 0; burst < 30; burst += 1) {
    timeMs += Math.floor(random() ** 3 * 300)
    const text = Array.from({ length: 1 + random() ** 4 * 800 }, () => (random() < 0.1 ? '🐉' : 'a')).join('')
    arrivals.set(timeMs, (arrivals.get(timeMs) ?? '') + text)
  }
  return arrivals
}

const frameRates = {
  '60 frames per second': frameMs,
  '120 frames per second': frameMs / 2,
  '4 frames per second': 250,
  'no frames': Infinity,
}

describe.each(Object.entries(frameRates))('at %s', (_, ms) => {
  it('draws random bursts in order, in whole characters, and one frame before the maximum lag', () => {
    for (let seed = 0; seed < 25; seed += 1) {
      const { steps, isFaithful, isIdle } = drawAll(createBursts(seed), ms)
      const late = steps.findIndex(({ arrived, shown }, timeMs) => {
        const due = steps[timeMs - Math.ceil(maxLagMs - frameMs)]?.arrived ?? 0
        return shown < due || shown > arrived
      })
      expect({ seed, late, isFaithful, isIdle }).toEqual({ seed, late: -1, isFaithful: true, isIdle: true })
    }
  })
})

it('draws the characters of a token one after another', () => {
  const { steps } = drawAll(new Map([[0, 'twelve chars']]), frameMs)
  const lengths = new Set(steps.map(({ shown }) => shown))
  expect(lengths.size).toBeGreaterThan(5)
})

it('never draws more than half of a 200-character burst at once', () => {
  const { steps } = drawAll(new Map([[0, 'x'.repeat(200)]]), frameMs)
  const jumps = steps.map(({ shown }, index) => shown - (steps[index - 1]?.shown ?? 0))
  expect(Math.max(...jumps)).toBeLessThan(100)
})

describe('a text', () => {
  function write(text: string) {
    const page = createDisplay(frameMs)
    const seen = { text: '' }
    const typewriter = createTypewriter((shown) => (seen.text = shown), page.display)
    return { ...page, seen, typewriter, write: () => typewriter.write(text) }
  }

  it('is drawn immediately if the tab is hidden or the user prefers reduced motion', () => {
    const { seen, setDrawsAtOnce, write: writeText, isIdle } = write('A long enough sentence.')
    setDrawsAtOnce(true)
    writeText()
    expect(seen.text).toBe('A long enough sentence.')
    expect(isIdle()).toBe(true)
  })

  it('is drawn completely when the tab becomes visible again', () => {
    const { seen, changeVisibility, write: writeText, isIdle } = write('A long enough sentence.')
    writeText()
    expect(seen.text).toBe('')
    changeVisibility()
    expect(seen.text).toBe('A long enough sentence.')
    expect(isIdle()).toBe(true)
  })

  it('is drawn completely by flush', () => {
    const { seen, typewriter, write: writeText, isIdle } = write('A long enough sentence.')
    writeText()
    typewriter.flush()
    expect(seen.text).toBe('A long enough sentence.')
    expect(isIdle()).toBe(true)
  })

  it('draws nothing if it is empty', () => {
    const { seen, write: writeText, isIdle } = write('')
    writeText()
    expect(seen.text).toBe('')
    expect(isIdle()).toBe(true)
  })
})
