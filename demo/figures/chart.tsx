import { useEffect, useRef } from 'preact/hooks'
import type uPlot from 'uplot'

/** The theme's colours, resolved to values that a canvas accepts. */
export type ChartColors = Readonly<Record<(typeof colorNames)[number], string>>

const colorNames = ['water', 'ink', 'ink-soft', 'line', 'edge', 'alarm'] as const

interface ChartProps {
  /** Describes the chart in words, for screen readers. */
  readonly label: string
  readonly height: number
  /** Called again when the theme or the number of series changes. */
  readonly describe: (colors: ChartColors) => Omit<uPlot.Options, 'width' | 'height'>
  readonly data: uPlot.AlignedData
}

/** A uPlot chart that fills its container's width and follows the theme. uPlot is loaded with the first chart. */
export function Chart({ label, height, describe, data }: ChartProps) {
  const container = useRef<HTMLDivElement>(null)
  const plot = useRef<uPlot | undefined>(undefined)
  const newest = useRef({ describe, data })
  newest.current = { describe, data }

  useEffect(() => {
    const element = container.current!
    const unmounted = new AbortController()
    void start()
    async function start(): Promise<void> {
      const Plot = await loadPlot()
      if (unmounted.signal.aborted) return
      const draw = () => {
        plot.current?.destroy()
        const options = newest.current.describe(readColors(element))
        const size = { width: element.clientWidth, height }
        plot.current = new Plot({ ...options, ...size }, newest.current.data, element)
      }
      draw()
      watchTheme(draw, unmounted.signal)
      watchWidth(element, (width) => plot.current?.setSize({ width, height }), unmounted.signal)
    }
    return () => {
      unmounted.abort()
      plot.current?.destroy()
      plot.current = undefined
    }
  }, [height, data.length])

  useEffect(() => plot.current?.setData(data), [data])

  return <div class="chart" ref={container} role="img" aria-label={label} style={{ minHeight: height }} />
}

async function loadPlot(): Promise<typeof uPlot> {
  const [{ default: Plot }] = await Promise.all([import('uplot'), import('uplot/dist/uPlot.min.css')])
  return Plot
}

/** Reads the colours through a probe element: a custom property is resolved only where it is used. */
function readColors(element: HTMLElement): ChartColors {
  const probe = element.appendChild(document.createElement('span'))
  const read = (name: string) => {
    probe.style.color = `var(--${name})`
    return getComputedStyle(probe).color
  }
  const colors = Object.fromEntries(colorNames.map((name) => [name, read(name)]))
  probe.remove()
  return colors as ChartColors
}

function watchTheme(onChange: () => void, signal: AbortSignal): void {
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', onChange, { signal })
  const observer = new MutationObserver(onChange)
  observer.observe(document.documentElement, { attributeFilter: ['data-theme'] })
  signal.addEventListener('abort', () => observer.disconnect())
}

function watchWidth(element: HTMLElement, onChange: (width: number) => void, signal: AbortSignal): void {
  let width = element.clientWidth
  const observer = new ResizeObserver(() => {
    if (element.clientWidth === width) return
    width = element.clientWidth
    onChange(width)
  })
  observer.observe(element)
  signal.addEventListener('abort', () => observer.disconnect())
}

/** Returns the options of an axis in the theme's colours. */
export function createAxis(colors: ChartColors, axis: uPlot.Axis): uPlot.Axis {
  return {
    stroke: colors['ink-soft'],
    font: '12px system-ui, sans-serif',
    labelFont: '12px system-ui, sans-serif',
    labelSize: 18,
    grid: { stroke: colors.line, width: 1 },
    ticks: { stroke: colors.line, width: 1 },
    ...axis,
  }
}
