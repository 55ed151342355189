import type { Bound, Row, Spread } from './page/rows.js'

const columns = [
  'section',
  'model',
  'context',
  'quantity',
  'rivulet',
  'baseline',
  '',
  'ratio',
  'bound',
  '',
  'note',
] as const

/** Formats the rows as aligned columns: median [95 % confidence interval] (min–max). A value measured once has no spread. */
export function formatTable(rows: readonly Row[]): string {
  const lines = [columns, ...rows.map(formatRow)]
  const widths = columns.map((_, column) => Math.max(...lines.map((line) => line[column]!.length)))
  return lines
    .map((line) =>
      line
        .map((cell, column) => cell.padEnd(widths[column]!))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}

function formatRow({
  section,
  model,
  context,
  quantity,
  unit,
  value,
  baseline,
  ratio,
  bound,
  isMet,
  note,
}: Row): string[] {
  return [
    section,
    model,
    context === undefined ? '' : String(context),
    quantity,
    formatSpread(value, unit),
    baseline ? formatSpread(baseline.value, unit) : '',
    baseline?.name ?? '',
    ratio ? formatSpread(ratio, '') : '',
    bound ? formatBound(bound) : '',
    isMet === undefined ? '' : isMet ? 'met' : 'MISSED',
    note ?? '',
  ]
}

function formatBound({ of, kind, limit }: Bound): string {
  return `${of === 'value' ? 'rivulet' : 'ratio'} ${kind === 'at most' ? '≤' : '≥'} ${limit}`
}

function formatSpread({ median, min, max, confidence }: Spread, unit: string): string {
  const [scale, scaledUnit] = unit === 'B' && median >= 1e6 ? [1e6, 'MB'] : [1, unit]
  const format = (value: number) => formatNumber(value / scale)
  const spread = min === max ? '' : ` (${format(min)}–${format(max)})`
  const interval = min === max || !confidence ? '' : ` [${confidence.map(format).join('–')}]`
  return `${format(median)}${interval}${spread} ${scaledUnit}`.trimEnd()
}

function formatNumber(value: number): string {
  if (!Number.isFinite(value)) return '–'
  return Math.abs(value) >= 100 || Number.isInteger(value) ? value.toFixed(0) : value.toPrecision(3)
}
