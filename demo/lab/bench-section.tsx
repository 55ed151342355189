import { useSignal } from '@preact/signals'
import { useMemo } from 'preact/hooks'
import type uPlot from 'uplot'
import { Chart, createAxis, type ChartColors } from '../figures/chart.js'
import { Scrollable } from '../figures/run-list.js'
import { readBenchResults, type BenchResults, type BenchRow, type Spread } from './bench-results.js'
import { findContextLines, type ContextLines } from './context-lines.js'
import { layOutRatios, type RatioRow, type RatioScale } from './lay-out-ratios.js'

type BenchState =
  | { readonly kind: 'empty' }
  | { readonly kind: 'invalid'; readonly message: string }
  | { readonly kind: 'loaded'; readonly results: BenchResults }

/** Charts and tables of the benchmark's JSON file. The file is read locally and not uploaded. */
export function BenchSection() {
  const state = useSignal<BenchState>({ kind: 'empty' })
  const isDragOver = useSignal(false)

  async function read(file: File | null | undefined): Promise<void> {
    if (!file) return
    try {
      state.value = { kind: 'loaded', results: readBenchResults(await file.text()) }
    } catch (error) {
      state.value = { kind: 'invalid', message: (error as Error).message }
    }
  }

  return (
    <section class="lab-section" aria-labelledby="bench-title">
      <h2 id="bench-title">Benchmark</h2>
      <p>
        <code>npm run bench</code> compares rivulet with other libraries and writes{' '}
        <code>.cache/bench/results.json</code>. Drop that file here to see charts. It is not uploaded.
      </p>
      <label
        class={isDragOver.value ? 'drop-zone over' : 'drop-zone'}
        onDragOver={(event) => {
          event.preventDefault()
          isDragOver.value = true
        }}
        onDragLeave={() => (isDragOver.value = false)}
        onDrop={(event) => {
          event.preventDefault()
          isDragOver.value = false
          void read(event.dataTransfer?.files[0])
        }}
      >
        <span>Benchmark results (JSON)</span>
        <input
          type="file"
          accept=".json,application/json"
          onChange={({ currentTarget }) => void read(currentTarget.files?.[0])}
        />
      </label>
      <div role="status">
        {state.value.kind === 'invalid' && <p class="note error">{state.value.message}</p>}
        {state.value.kind === 'loaded' && (
          <p>
            {state.value.results.rows.length} rows, measured on {state.value.results.date.slice(0, 10)}.{' '}
            {state.value.results.machine}.
          </p>
        )}
      </div>
      {state.value.kind === 'loaded' && <BenchPlots rows={state.value.results.rows} />}
    </section>
  )
}

function BenchPlots({ rows }: { readonly rows: readonly BenchRow[] }) {
  const sections = [...new Set(rows.map(({ section }) => section))]
  return (
    <>
      {findContextLines(rows).map((lines) => (
        <ContextChart key={lines.title} lines={lines} />
      ))}
      {sections.map((section) => (
        <SectionTable key={section} section={section} rows={rows.filter((row) => row.section === section)} />
      ))}
    </>
  )
}

function ContextChart({ lines }: { readonly lines: ContextLines }) {
  const { title, unit, baselineName, contexts, values, baselines } = lines
  const data = useMemo((): uPlot.AlignedData => [[...contexts], [...values], [...baselines]], [lines])
  const describe = (colors: ChartColors): Omit<uPlot.Options, 'width' | 'height'> => ({
    scales: { x: { time: false }, y: { range: (_, _min, max) => [0, max * 1.1] } },
    axes: [createAxis(colors, { label: 'Context (tokens)' }), createAxis(colors, { label: unit, size: 56 })],
    series: [
      { label: 'Context' },
      { label: 'rivulet', stroke: colors.water, width: 2 },
      {
        label: baselineName ?? 'no baseline',
        stroke: colors.alarm,
        width: 2,
        dash: [6, 4],
        show: baselineName !== undefined,
      },
    ],
  })
  return (
    <figure class="bench-chart">
      <figcaption>{title}</figcaption>
      <Chart
        label={`${title} by context length; the table below has the same values`}
        height={200}
        describe={describe}
        data={data}
      />
    </figure>
  )
}

interface SectionTableProps {
  readonly section: string
  readonly rows: readonly BenchRow[]
}

const hasRatio = (row: BenchRow): row is BenchRow & RatioRow => row.ratio !== undefined

function SectionTable({ section, rows }: SectionTableProps) {
  const scale = layOutRatios(rows.filter(hasRatio))
  return (
    <Scrollable label={`Section ${section}`}>
      <table class="bench-table">
        <caption>{section}</caption>
        <thead>
          <tr>
            <th scope="col">Quantity</th>
            <th scope="col">rivulet</th>
            <th scope="col">Baseline</th>
            <th scope="col">Ratio</th>
            <th scope="col">Ratio (log scale)</th>
            <th scope="col">Bound</th>
          </tr>
        </thead>
        <tbody>
          {rows.map((row, index) => (
            <BenchTableRow key={index} row={row} scale={scale} />
          ))}
        </tbody>
      </table>
    </Scrollable>
  )
}

function BenchTableRow({ row, scale }: { readonly row: BenchRow; readonly scale: RatioScale }) {
  const { model, context, quantity, unit, value, baseline, ratio, bound, isMet } = row
  return (
    <tr>
      <th scope="row">
        {quantity}
        <span class="unit">
          {' '}
          {[model, context !== undefined && `context ${context}`].filter(Boolean).join(', ')}
        </span>
      </th>
      <td>{formatSpread(value, unit)}</td>
      <td>{baseline ? `${formatSpread(baseline.value, unit)} (${baseline.name})` : '–'}</td>
      <td>{ratio ? formatSpread(ratio, '') : '–'}</td>
      <td class="lane" aria-hidden="true">
        {hasRatio(row) && <RatioLine row={row} scale={scale} />}
      </td>
      <td class={isMet === false ? 'missed' : undefined}>
        {bound ? `${bound.of} ${bound.kind} ${bound.limit}: ${isMet ? 'met' : 'missed'}` : '–'}
      </td>
    </tr>
  )
}

function RatioLine({ row, scale }: { readonly row: RatioRow; readonly scale: RatioScale }) {
  const { median, min, max, limit } = scale.place(row)
  const percent = (position: number) => `${(position * 100).toFixed(2)}%`
  return (
    <>
      <span class="ratio-one" style={{ left: percent(scale.one) }} />
      <span class="ratio-spread" style={{ left: percent(min), width: percent(max - min) }} />
      {limit !== undefined && <span class="ratio-limit" style={{ left: percent(limit) }} />}
      <span class="ratio-median" style={{ left: percent(median) }} />
    </>
  )
}

function formatSpread({ median, min, max }: Spread, unit: string): string {
  const [scale, scaledUnit] = unit === 'B' && Math.abs(median) >= 1e6 ? [1e6, 'MB'] : [1, unit]
  const format = (value: number) => Number((value / scale).toPrecision(3)).toString()
  return `${format(median)}${min === max ? '' : ` (${format(min)}–${format(max)})`} ${scaledUnit}`.trimEnd()
}
