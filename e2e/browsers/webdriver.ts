/** The key of an element's id in WebDriver's JSON. */
export const elementKey = 'element-6066-11e4-a52e-4f735466cecf'

/** One session with a WebDriver server. */
export class WebDriverSession {
  readonly #url: string
  /** Settles when the commands so far have. */
  #last: Promise<unknown> = Promise.resolve()

  private constructor(url: string) {
    this.#url = url
  }

  static async start(server: string, capabilities: object): Promise<WebDriverSession> {
    const { sessionId } = (await send('POST', `${server}/session`, {
      capabilities: { alwaysMatch: capabilities },
    })) as { readonly sessionId: string }
    return new WebDriverSession(`${server}/session/${sessionId}`)
  }

  /** Sends a command, after all earlier ones. @throws Error with WebDriver's message */
  send(method: 'DELETE' | 'GET' | 'POST', path: string, body?: object): Promise<unknown> {
    return this.#enqueue(() => send(method, this.#url + path, body))
  }

  /** Sends a command to one of the session's windows. */
  sendTo(handle: string, method: 'DELETE' | 'GET' | 'POST', path: string, body?: object): Promise<unknown> {
    return this.#enqueue(async () => {
      await send('POST', `${this.#url}/window`, { handle })
      return send(method, this.#url + path, body)
    })
  }

  #enqueue<Result>(run: () => Promise<Result>): Promise<Result> {
    const result = this.#last.then(run)
    this.#last = result.catch(() => {})
    return result
  }
}

async function send(method: string, url: string, body?: object): Promise<unknown> {
  const response = await fetch(url, { method, ...(body && { body: JSON.stringify(body) }) })
  const { value } = (await response.json()) as { readonly value: unknown }
  if (response.ok) return value
  const { error, message } = value as { readonly error: string; readonly message: string }
  throw new Error(`${error}: ${message}`)
}
