import { formatMs } from '../figure-format.js'
import { layOutWaterfall, spanTitles } from './lay-out-waterfall.js'
import { Figure } from './readouts.js'
import type { Run } from './run.js'

/** More marks would look like a solid bar. */
const maxMarks = 400

/** One request from start to end: a row for each span, and a mark for each token. */
export function Waterfall({ run }: { readonly run: Run }) {
  const { spans, tokenTimesMs, totalMs } = layOutWaterfall(run)
  const percent = (ms: number) => `${totalMs > 0 ? ((ms / totalMs) * 100).toFixed(3) : 0}%`
  const marks = tokenTimesMs.length <= maxMarks ? tokenTimesMs : []
  return (
    <table class="waterfall">
      <caption>Waterfall</caption>
      <thead class="visually-hidden">
        <tr>
          <th scope="col">Span</th>
          <th scope="col">Chart</th>
          <th scope="col">Duration</th>
        </tr>
      </thead>
      <tbody>
        {spans.map(({ name, startMs, endMs }) => (
          <tr key={name} title={spanTitles[name]}>
            <th scope="row">{name}</th>
            <td class="lane" aria-hidden="true">
              <span class="bar" style={{ left: percent(startMs), width: percent(endMs - startMs) }} />
              {name === 'Decode' &&
                marks.map((ms, index) => (
                  <span key={index} class="mark-token" style={{ left: percent(ms) }} />
                ))}
            </td>
            <td class="duration">
              <Figure {...formatMs(endMs - startMs)} />
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  )
}
