import { useMemo } from 'preact/hooks'
import type uPlot from 'uplot'
import { formatMs } from '../figure-format.js'
import { Chart, createAxis, type ChartColors } from './chart.js'
import type { LiveRun } from './run.js'

/** A chart of a run's inter-token gaps with lines at p50, p95 and p99. It grows during the run. */
export function GapChart({ run }: { readonly run: Pick<LiveRun, 'figures' | 'gapsMs'> }) {
  const { gapsMs, figures } = run
  const { interTokenP50Ms: p50, interTokenP95Ms: p95, interTokenP99Ms: p99 } = figures
  const data = useMemo((): uPlot.AlignedData => {
    const line = (value: number | undefined) => gapsMs.map(() => value ?? null)
    return [gapsMs.map((_, index) => index + 2), [...gapsMs], line(p50), line(p95), line(p99)]
  }, [gapsMs, gapsMs.length, p50, p95, p99])
  return <Chart label={describeGaps(run)} height={220} describe={describeChart} data={data} />
}

function describeGaps({ gapsMs, figures }: Pick<LiveRun, 'figures' | 'gapsMs'>): string {
  const format = (ms: number | undefined) => {
    const { value, unit } = formatMs(ms ?? 0)
    return `${value} ${unit}`
  }
  const { interTokenP50Ms, interTokenP95Ms, interTokenP99Ms } = figures
  const percentiles = `p50 ${format(interTokenP50Ms)}, p95 ${format(interTokenP95Ms)}, p99 ${format(interTokenP99Ms)}`
  return gapsMs.length === 0 ? 'No gaps yet' : `${gapsMs.length} gaps between tokens: ${percentiles}`
}

function describeChart(colors: ChartColors): Omit<uPlot.Options, 'width' | 'height'> {
  const percentile = (label: string, dash: number[]) => ({
    label,
    stroke: colors['ink-soft'],
    width: 1,
    dash,
    points: { show: false },
    value: showTwoDecimals,
  })
  return {
    scales: { x: { time: false }, y: { range: (_, _min, max) => [0, Math.max(max * 1.1, 1)] } },
    axes: [createAxis(colors, { label: 'Token' }), createAxis(colors, { label: 'Gap, ms', size: 56 })],
    cursor: { y: false },
    series: [
      { label: 'Token' },
      { label: 'Gap, ms', stroke: colors.water, width: 1.5, points: { size: 3 }, value: showTwoDecimals },
      percentile('p50', []),
      percentile('p95', [6, 4]),
      percentile('p99', [2, 3]),
    ],
  }
}

function showTwoDecimals(_: uPlot, value: number | null): string {
  return value === null ? '–' : value.toFixed(2)
}
