import { backendChoices } from '../model-choice.js'

interface BackendOrderProps {
  readonly order: readonly string[]
  readonly onChange: (order: readonly string[]) => void
}

/** The order in which the backends that support the model are tried. */
export function BackendOrder({ order, onChange }: BackendOrderProps) {
  const moveUp = (index: number) => {
    const moved = [...order]
    const [name] = moved.splice(index, 1)
    moved.splice(index - 1, 0, name!)
    onChange(moved)
  }
  return (
    <fieldset class="field backend-order">
      <legend>Backend order</legend>
      <ol>
        {order.map((name, index) => (
          <li key={name}>
            <span>{(backendChoices as Record<string, string>)[name] ?? name}</span>
            {index > 0 && (
              <button
                type="button"
                class="quiet"
                aria-label={`Move ${(backendChoices as Record<string, string>)[name] ?? name} up`}
                onClick={() => moveUp(index)}
              >
                Move up
              </button>
            )}
          </li>
        ))}
      </ol>
      <p class="form-note">
        The first backend that supports the model and runs on this device is used. A backend made for GPUs
        that would run on the CPU here is tried later.
      </p>
    </fieldset>
  )
}
