import type { Browser, CDPSession } from '@playwright/test'

/** A page as a person has it, which another tab hides: Playwright's own pages are always in sight and in focus. */
export interface PlainPage {
  /** Calls a function in the page, as from a click. */
  evaluate<Result>(run: () => Result | Promise<Result>): Promise<Result>
  close(): Promise<void>
}

/** Opens it beside Playwright's contexts, in the browser's own, of which Playwright leaves the pages alone. */
export async function openPlainPage(browser: Browser, url: string): Promise<PlainPage> {
  const session = await browser.newBrowserCDPSession()
  const { targetId } = await session.send('Target.createTarget', { url: 'about:blank' })
  const send = await attach(session, targetId)
  // Answered when the page has left `about:blank`, which would take what is evaluated there with it.
  await send('Page.navigate', { url })
  return {
    async evaluate<Result>(run: () => Result | Promise<Result>) {
      const { result, exceptionDetails } = (await send('Runtime.evaluate', {
        expression: `(${run})()`,
        awaitPromise: true,
        returnByValue: true,
        userGesture: true,
      })) as Evaluated
      if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text)
      return result.value as Result
    },
    async close() {
      await session.send('Target.closeTarget', { targetId })
      await session.detach()
    },
  }
}

/** What `Runtime.evaluate` answers. */
interface Evaluated {
  readonly result: { readonly value?: unknown }
  readonly exceptionDetails?: {
    readonly text: string
    readonly exception?: { readonly description?: string }
  }
}

/** @returns sends a command to the page itself */
async function attach(session: CDPSession, targetId: string) {
  // Playwright hears of the messages of sessions of its own alone: these come wrapped.
  const { sessionId } = await session.send('Target.attachToTarget', { targetId, flatten: false })
  const waiting = new Map<number, (answer: Answer) => void>()
  session.on('Target.receivedMessageFromTarget', (event) => {
    const { id, ...answer } = JSON.parse(event.message) as { readonly id: number } & Answer
    if (event.sessionId === sessionId) waiting.get(id)?.(answer)
  })
  let id = 0
  return async (method: string, params: object): Promise<unknown> => {
    id += 1
    const answer = new Promise<Answer>((resolve) => waiting.set(id, resolve))
    const message = JSON.stringify({ id, method, params })
    await session.send('Target.sendMessageToTarget', { sessionId, message })
    const { result, error } = await answer
    if (error) throw new Error(`${method}: ${error.message}`)
    return result
  }
}

interface Answer {
  readonly result?: unknown
  readonly error?: { readonly message: string }
}
