import type { GenerationResult } from 'rivulet'
import { formatMs, formatNumber, type FormattedFigure } from './figure-format.js'
import { drawGapStrip } from './gap-strip.js'
import { countLive, toFigures, type Figures, type LiveFigures } from './live-figures.js'
import { pageElement } from './page-element.js'

export interface Readouts {
  /** Starts the clock of a new answer. */
  start(): void
  addTokens(count: number): void
  /** Stops the clock, and shows the library's own figures where there are some. */
  finish(result?: GenerationResult): void
  /** Back to none, as for a new chat. */
  clear(): void
}

/** The figures beside the chat: counted here while an answer runs, drawn at most once a frame. */
export function createReadouts(): Readouts {
  const list = pageElement('readouts', HTMLElement)
  const cells = {
    ttft: createCell(list, 'ttft', formatMs),
    tps: createCell(list, 'tps', (speed) => formatNumber(speed, 'tok/s')),
    tokens: createCell(list, 'tokens', (tokens) => ({ value: String(tokens), unit: '' })),
    p50: createCell(list, 'itl-p50', formatMs),
    p95: createCell(list, 'itl-p95', formatMs),
    total: createCell(list, 'total', formatMs),
  }
  let live: LiveFigures | undefined
  let frame = 0

  function show(figures: Figures | undefined): void {
    cells.ttft(figures?.timeToFirstTokenMs)
    cells.tps(figures?.tokensPerSecond)
    cells.tokens(figures?.tokens)
    cells.p50(figures?.interTokenP50Ms)
    cells.p95(figures?.interTokenP95Ms)
    cells.total(figures?.totalMs)
  }

  function drawFrame(): void {
    if (!live) return
    show(live.compute(performance.now()))
    drawGapStrip(live.gapsMs)
    frame = requestAnimationFrame(drawFrame)
  }

  function stop(): void {
    cancelAnimationFrame(frame)
    live = undefined
  }

  show(undefined)
  return {
    start() {
      stop()
      live = countLive(performance.now())
      drawFrame()
    },
    addTokens: (count) => live?.addTokens(performance.now(), count),
    finish(result) {
      const counted = live
      stop()
      if (counted) drawGapStrip(counted.gapsMs)
      if (result) show(toFigures(result.latency, result.usage.completionTokens))
      else show(counted?.compute(performance.now()))
    },
    clear() {
      stop()
      show(undefined)
      drawGapStrip([])
    },
  }
}

/** Shows one figure, and touches the document only where that changes it. */
type ShowFigure = (figure: number | undefined) => void

function createCell(list: Element, name: string, format: (figure: number) => FormattedFigure): ShowFigure {
  const cell = list.querySelector(`[data-testid="${name}"]`)
  if (!cell) throw new Error(`index.html has no readout "${name}".`)
  const valueText = document.createTextNode('')
  const unitText = document.createElement('span')
  unitText.className = 'unit'
  cell.replaceChildren(valueText, unitText)
  return (figure) => {
    const { value, unit } = figure === undefined ? { value: '–', unit: '' } : format(figure)
    if (valueText.data !== value) valueText.data = value
    const spacedUnit = unit && ` ${unit}`
    if (unitText.textContent !== spacedUnit) unitText.textContent = spacedUnit
    cell.classList.toggle('empty', figure === undefined)
  }
}
