/** A value that only the lab shows, with a tooltip that explains it. */
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
        <div key={testId} class="readout" title={title}>
          <dt>{label}</dt>
          <dd data-testid={testId}>{value}</dd>
        </div>
      ))}
    </dl>
  )
}
