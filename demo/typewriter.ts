/** Text is visible at most this long after it arrived, at any speed. */
export const maxLagMs = 100
/** Drawn text becomes visible with the next frame: at 60 frames per second, up to this much later. */
const frameMs = 1000 / 60
const drawWithinMs = maxLagMs - frameMs

/** 63 % of the backlog is drawn in this time: fast enough for a fast model, smooth between the tokens of a slow one. */
const easeMs = 30
/** Minimum speed: with easing only, the last characters of a backlog would appear too slowly. */
const minCharactersPerMs = 0.05

/** Draws a growing text smoothly. */
export interface Typewriter {
  /** Accepts text immediately and never waits. */
  write(text: string): void
  /** Draws the remaining text immediately. */
  flush(): void
}

/** Clock, frames and timers that the typewriter draws with. */
export interface Display {
  now(): number
  requestFrame(draw: () => void): number
  cancelFrame(frame: number): void
  startTimer(draw: () => void, ms: number): number
  stopTimer(timer: number): void
  /** Whether to draw without animation: the tab is hidden (it gets no frames) or the user prefers reduced motion. */
  drawsAtOnce(): boolean
  /** Calls `listener` when the tab becomes hidden or visible. Returns a function that removes the listener. */
  onVisibilityChange(listener: () => void): () => void
}

const tab: Display = {
  now: () => performance.now(),
  requestFrame: (draw) => requestAnimationFrame(draw),
  cancelFrame: (frame) => cancelAnimationFrame(frame),
  startTimer: (draw, ms) => window.setTimeout(draw, ms),
  stopTimer: (timer) => clearTimeout(timer),
  drawsAtOnce: () => document.hidden || matchMedia('(prefers-reduced-motion: reduce)').matches,
  onVisibilityChange(listener) {
    document.addEventListener('visibilitychange', listener)
    return () => document.removeEventListener('visibilitychange', listener)
  },
}

/** The text's length at a point in time. */
interface Arrival {
  readonly timeMs: number
  readonly length: number
}

/** State while some of the text is not drawn yet. */
interface Run {
  readonly arrivals: Arrival[]
  readonly stopWatching: () => void
  frame: number
  timer: number
  drawnMs: number
}

/**
 * Slows down the drawing of a stream's text, never the reading: slow reads would slow down the model (backpressure).
 * Frames set the pace. A timer enforces `maxLagMs` when frames are late or missing, as in a hidden tab.
 * @param drawText called with the whole visible text whenever it has grown
 */
export function createTypewriter(drawText: (shown: string) => void, display: Display = tab): Typewriter {
  let text = ''
  /** Drawn up to here, in UTF-16 units. The fraction carries over to the next frame. */
  let position = 0
  let drawn = 0
  let run: Run | undefined

  function drawTo(length: number): void {
    position = length
    const end = floorToCharacter(text, length)
    if (end > drawn) drawText(text.slice(0, (drawn = end)))
    if (position >= text.length) stop()
  }

  function stop(): void {
    if (run === undefined) return
    display.cancelFrame(run.frame)
    display.stopTimer(run.timer)
    run.stopWatching()
    run = undefined
  }

  function start(): Run {
    return {
      arrivals: [],
      stopWatching: display.onVisibilityChange(flush),
      frame: display.requestFrame(drawFrame),
      timer: display.startTimer(drawDue, drawWithinMs),
      drawnMs: display.now(),
    }
  }

  function drawFrame(): void {
    const { drawnMs } = run!
    const nowMs = (run!.drawnMs = display.now())
    run!.frame = display.requestFrame(drawFrame)
    drawTo(advance(position, text.length, nowMs - drawnMs))
  }

  /** Draws the text that has waited for the maximum time. */
  function drawDue(): void {
    const { arrivals } = run!
    const dueMs = display.now() - drawWithinMs
    const firstFresh = arrivals.findIndex(({ timeMs }) => timeMs > dueMs)
    const [due] = arrivals.splice(0, firstFresh === -1 ? arrivals.length : firstFresh).slice(-1)
    const [next] = arrivals
    if (next !== undefined) run!.timer = display.startTimer(drawDue, Math.max(0, next.timeMs - dueMs))
    if (due !== undefined) drawTo(Math.max(position, due.length))
  }

  function flush(): void {
    drawTo(text.length)
  }

  return {
    write(more) {
      if (more === '') return
      text += more
      if (display.drawsAtOnce()) return flush()
      run ??= start()
      run.arrivals.push({ timeMs: display.now(), length: text.length })
    },
    flush,
  }
}

/** Returns the position to draw up to, `elapsedMs` after the last drawing. */
function advance(position: number, arrived: number, elapsedMs: number): number {
  const eased = (arrived - position) * (1 - Math.exp(-elapsedMs / easeMs))
  return Math.min(arrived, position + Math.max(eased, elapsedMs * minCharactersPerMs))
}

/** Rounds down to a whole character: half of a surrogate pair would be drawn as a replacement character. */
function floorToCharacter(text: string, length: number): number {
  const end = Math.floor(length)
  const splitsPair = isHighSurrogate(text.charCodeAt(end - 1)) && isLowSurrogate(text.charCodeAt(end))
  return splitsPair ? end - 1 : end
}

const isHighSurrogate = (unit: number) => unit >= 0xd800 && unit <= 0xdbff
const isLowSurrogate = (unit: number) => unit >= 0xdc00 && unit <= 0xdfff
