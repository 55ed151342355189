/** Text that arrived this long ago is seen, whatever its pace was. */
export const maxLagMs = 100
/** What is drawn is seen with the next frame: at 60 a second, up to this much later. */
const frameMs = 1000 / 60
const drawWithinMs = maxLagMs - frameMs

/** Of a backlog, 63 % is drawn in this time: quick behind a fast model, smooth between the tokens of a slow one. */
const easeMs = 30
/** Lets the last few characters of a backlog come steadily, where the easing alone would crawl. */
const minCharactersPerMs = 0.05

/** Draws a growing text at a reader's pace. */
export interface Typewriter {
  /** Takes text as fast as it comes; never waits. */
  write(text: string): void
  /** Draws what is left at once. */
  flush(): void
}

/** Where and when text is drawn. */
export interface Display {
  now(): number
  requestFrame(draw: () => void): number
  cancelFrame(frame: number): void
  startTimer(draw: () => void, ms: number): number
  stopTimer(timer: number): void
  /** Whether nobody sees it (a hidden tab has no frames) or less motion is asked for. */
  drawsAtOnce(): boolean
  /** Calls back whenever the tab is hidden or seen again. Returns what ends that. */
  onTurn(turn: () => void): () => void
}

const tab: Display = {
  now: () => performance.now(),
  requestFrame: (draw) => requestAnimationFrame(draw),
  cancelFrame: (frame) => cancelAnimationFrame(frame),
  startTimer: (draw, ms) => window.setTimeout(draw, ms),
  stopTimer: (timer) => clearTimeout(timer),
  drawsAtOnce: () => document.hidden || matchMedia('(prefers-reduced-motion: reduce)').matches,
  onTurn(turn) {
    document.addEventListener('visibilitychange', turn)
    return () => document.removeEventListener('visibilitychange', turn)
  },
}

/** How far the text reached at a moment. */
interface Arrival {
  readonly timeMs: number
  readonly length: number
}

/** What runs while some of the text is yet to be drawn. */
interface Run {
  readonly arrivals: Arrival[]
  readonly endTurns: () => void
  frame: number
  timer: number
  drawnMs: number
}

/**
 * Paces the drawing of a stream's text, never the reading: holding back reads would hold back the model. Frames set
 * the pace; a timer keeps to `maxLagMs` where they come late or, as in a hidden tab, not at all.
 * @param drawText called with all that is to be seen, whenever that has grown
 */
export function createTypewriter(drawText: (shown: string) => void, display: Display = tab): Typewriter {
  let text = ''
  /** Drawn up to here, in UTF-16 units; a fraction is kept for the next frame. */
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
    run.endTurns()
    run = undefined
  }

  function start(): Run {
    return {
      arrivals: [],
      endTurns: display.onTurn(flush),
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

  /** What has waited as long as it may. */
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

/** Up to where to draw, `elapsedMs` after the last time. */
function advance(position: number, arrived: number, elapsedMs: number): number {
  const eased = (arrived - position) * (1 - Math.exp(-elapsedMs / easeMs))
  return Math.min(arrived, position + Math.max(eased, elapsedMs * minCharactersPerMs))
}

/** Whole characters only: half of a surrogate pair would be drawn as a replacement character. */
function floorToCharacter(text: string, length: number): number {
  const end = Math.floor(length)
  const splitsPair = isHighSurrogate(text.charCodeAt(end - 1)) && isLowSurrogate(text.charCodeAt(end))
  return splitsPair ? end - 1 : end
}

const isHighSurrogate = (unit: number) => unit >= 0xd800 && unit <= 0xdbff
const isLowSurrogate = (unit: number) => unit >= 0xdc00 && unit <= 0xdfff
