const suggestions = [
  'Tell me a story about a dragon.',
  'Tell me a story about a little boat on a river.',
  'Tell me a story about a girl who finds a key.',
]

interface WelcomeProps {
  readonly isBuiltInModel: boolean
  /** The server that answers, if the chosen backend is a server. */
  readonly server: string | undefined
  /** The server that answers if no backend can run in this browser. */
  readonly fallbackServer: string | undefined
}

/** The text of an empty chat. */
export function Welcome(props: WelcomeProps) {
  return (
    <div class="welcome">
      <h2>{props.isBuiltInModel ? 'Ask for a story' : 'Ask anything'}</h2>
      <p>{describePrivacy(props)}</p>
    </div>
  )
}

/** Says where the model runs and where the messages go. */
function describePrivacy({ isBuiltInModel, server, fallbackServer }: WelcomeProps): string {
  if (server !== undefined) return `Answers come from ${server}. Your messages are sent there.`
  if (fallbackServer !== undefined)
    return `The model runs in this tab. If it cannot run here, ${fallbackServer} answers instead and your messages are sent there.`
  return isBuiltInModel
    ? 'A very small model writes it in this tab. Your messages stay on this device.'
    : 'The model runs in this tab. Your messages stay on this device.'
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
