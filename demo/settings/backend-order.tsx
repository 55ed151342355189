import { backendChoices } from '../model-choice.js'

interface BackendOrderProps {
  readonly order: readonly string[]
  readonly onChange: (order: readonly string[]) => void
}

/** Which backend is tried first, of those that can take the model. */
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
                aria-label={`Try ${(backendChoices as Record<string, string>)[name] ?? name} earlier`}
                onClick={() => moveUp(index)}
              >
                Earlier
              </button>
            )}
          </li>
        ))}
      </ol>
      <p class="form-note">
        The first one that can take the model and run here is taken; one that would compute on the CPU what is
        made for a GPU comes later.
      </p>
    </fieldset>
  )
}
