const suggestions = [
  'Tell me a story about a dragon.',
  'Tell me a story about a little boat on a river.',
  'Tell me a story about a girl who finds a key.',
]

interface WelcomeProps {
  readonly isBuiltInModel: boolean
  /** Whose answers are shown, where they come from elsewhere. */
  readonly server: string | undefined
  /** Who answers where no backend of this browser can. */
  readonly fallbackServer: string | undefined
}

/** What an empty chat says. */
export function Welcome(props: WelcomeProps) {
  return (
    <div class="welcome">
      <h2>{props.isBuiltInModel ? 'Ask for a story' : 'Ask it anything'}</h2>
      <p>{describePlace(props)}</p>
    </div>
  )
}

/** Where the model runs, and who learns what is written. */
function describePlace({ isBuiltInModel, server, fallbackServer }: WelcomeProps): string {
  if (server !== undefined) return `The answers come from ${server}: what you write is sent there.`
  if (fallbackServer !== undefined)
    return `The model runs in this tab. Where it cannot, ${fallbackServer} answers: what you write is sent there then.`
  return isBuiltInModel
    ? 'A very small model makes one up, right here in this tab. Nothing you write leaves it.'
    : 'The model runs in this tab. Nothing you write leaves it.'
}

export function Suggestions({ onChoose }: { readonly onChoose: (text: string) => void }) {
  return (
    <ul class="suggestions" aria-label="Suggestions">
      {suggestions.map((suggestion) => (
        <li key={suggestion}>
          <button type="button" onClick={() => onChoose(suggestion)}>
            {suggestion}
          </button>
        </li>
      ))}
    </ul>
  )
}
