import { formatMs } from '../figure-format.js'
import { layOutWaterfall, spanTitles } from './lay-out-waterfall.js'
import { Figure } from './readouts.js'
import type { Run } from './run.js'

/** More would be a solid bar. */
const mostMarks = 400

/** One request from question to end: a row for each part, and its tokens as marks. */
export function Waterfall({ run }: { readonly run: Run }) {
  const { spans, tokenTimesMs, totalMs } = layOutWaterfall(run)
  const percent = (ms: number) => `${totalMs > 0 ? ((ms / totalMs) * 100).toFixed(3) : 0}%`
  const marks = tokenTimesMs.length <= mostMarks ? tokenTimesMs : []
  return (
    <table class="waterfall">
      <caption>Waterfall</caption>
      <thead class="visually-hidden">
        <tr>
          <th scope="col">Part</th>
          <th scope="col">Picture</th>
          <th scope="col">Duration</th>
        </tr>
      </thead>
      <tbody>
        {spans.map(({ name, startMs, endMs }) => (
          <tr key={name} title={spanTitles[name]}>
            <th scope="row">{name}</th>
            <td class="lane" aria-hidden="true">
              <span class="bar" style={{ left: percent(startMs), width: percent(endMs - startMs) }} />
              {name === 'Tokens' &&
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
