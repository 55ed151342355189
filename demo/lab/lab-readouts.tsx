import { Explained } from '../figures/explained.js'

/** A value that only the lab shows, with an explanation. */
interface LabReadout {
  readonly label: string
  readonly testId: string
  readonly value: string | number
  readonly title: string
}

export function LabReadouts({ readouts }: { readonly readouts: readonly LabReadout[] }) {
  return (
    <dl class="readouts wire">
      {readouts.map(({ label, testId, value, title }) => (
        <div key={testId} class="readout">
          <dt>
            <Explained label={label} explanation={title} />
          </dt>
          <dd data-testid={testId}>{value}</dd>
        </div>
      ))}
    </dl>
  )
}
