/** Text that arrived this long ago is on the page, whatever its pace was. */
export const maxLagMs = 150

/** Of a backlog, 63 % is drawn in this time: quick behind a fast model, smooth between the tokens of a slow one. */
const easeMs = 60
/** Lets the last few characters of a backlog come steadily, where the easing alone would crawl. */
const minCharactersPerMs = 0.04

/** How far drawing has come, all in UTF-16 units from the start of the text. */
export interface Pace {
  /** Drawn up to here; may be fractional. */
  readonly shown: number
  readonly arrived: number
  /** Arrived `maxLagMs` ago or earlier. */
  readonly overdue: number
  /** Since the last frame. */
  readonly elapsedMs: number
}

/** Up to where to draw in this frame: never less than `overdue`, never more than `arrived`. */
export function computeShown({ shown, arrived, overdue, elapsedMs }: Pace): number {
  const backlog = arrived - shown
  const eased = backlog * (1 - Math.exp(-elapsedMs / easeMs))
  const step = Math.max(eased, elapsedMs * minCharactersPerMs)
  return Math.min(arrived, Math.max(overdue, shown + step))
}

/** Which part of a text is older than `maxLagMs`. */
export interface ArrivalLog {
  /** Notes that the text reaches to `length` since `timeMs`. */
  add(timeMs: number, length: number): void
  computeOverdue(nowMs: number): number
}

export function logArrivals(): ArrivalLog {
  const waiting: { readonly timeMs: number; readonly length: number }[] = []
  let overdue = 0
  return {
    add: (timeMs, length) => waiting.push({ timeMs, length }),
    computeOverdue(nowMs) {
      const firstFresh = waiting.findIndex(({ timeMs }) => timeMs > nowMs - maxLagMs)
      const old = waiting.splice(0, firstFresh === -1 ? waiting.length : firstFresh)
      return (overdue = old.at(-1)?.length ?? overdue)
    },
  }
}

/** Whole characters only: half of a surrogate pair would be drawn as a replacement character. */
export function floorToCharacter(text: string, length: number): number {
  const end = Math.floor(length)
  const splitsPair = isHighSurrogate(text.charCodeAt(end - 1)) && isLowSurrogate(text.charCodeAt(end))
  return splitsPair ? end - 1 : end
}

const isHighSurrogate = (unit: number) => unit >= 0xd800 && unit <= 0xdbff
const isLowSurrogate = (unit: number) => unit >= 0xdc00 && unit <= 0xdfff

/** Draws a growing text at a reader's pace. */
export interface Typewriter {
  /** Takes text as fast as it comes; never waits. */
  write(text: string): void
  /** Resolves when all of it is drawn. */
  finish(): Promise<void>
  /** Draws what is left at once. */
  flush(): void
}

/**
 * Paces the drawing of a stream's text, never the reading: holding back reads would hold back the model.
 * Draws at once where nobody sees a frame (a hidden tab has none) and where less motion is asked for.
 * @param drawText called with all that is to be seen, whenever that has grown
 */
export function createTypewriter(drawText: (shown: string) => void): Typewriter {
  const reducedMotion = matchMedia('(prefers-reduced-motion: reduce)')
  const arrivals = logArrivals()
  let text = ''
  let shown = 0
  let drawn = 0
  let frame: number | undefined

  function draw(length: number): void {
    shown = length
    const end = length >= text.length ? text.length : floorToCharacter(text, length)
    if (end <= drawn) return
    drawn = end
    drawText(text.slice(0, end))
  }

  function drawFrame(nowMs: number, previousMs: number): void {
    frame = undefined
    const overdue = arrivals.computeOverdue(nowMs)
    // A frame's time is that of its start, which may be before the write that asked for it.
    const elapsedMs = Math.max(0, nowMs - previousMs)
    draw(computeShown({ shown, arrived: text.length, overdue, elapsedMs }))
    if (shown < text.length) requestFrame(nowMs)
  }

  function requestFrame(previousMs: number): void {
    frame = requestAnimationFrame((nowMs) => drawFrame(nowMs, previousMs))
  }

  function flush(): void {
    if (frame !== undefined) cancelAnimationFrame(frame)
    frame = undefined
    draw(text.length)
  }

  function write(more: string): void {
    text += more
    if (document.hidden || reducedMotion.matches) return flush()
    const nowMs = performance.now()
    arrivals.add(nowMs, text.length)
    if (frame === undefined) requestFrame(nowMs)
  }

  return {
    write,
    flush,
    // By then all of it is overdue: a timer says so even where no frame comes any more.
    finish: () =>
      new Promise((resolve) => {
        const end = () => {
          flush()
          resolve()
        }
        if (shown >= text.length) end()
        else setTimeout(end, maxLagMs)
      }),
  }
}
