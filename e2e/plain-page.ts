import type { Browser, CDPSession } from '@playwright/test'

/** A page as a user has it, which another tab can hide. Playwright's own pages are always visible and focused. */
export interface PlainPage {
  /** Calls a function in the page as if from a click. */
  evaluate<Result>(run: () => Result | Promise<Result>): Promise<Result>
  /** Hides the page and freezes it, as phones do with tabs in the background; or shows it again. */
  setFrozen(isFrozen: boolean): Promise<void>
  close(): Promise<void>
}

/** Opens it in the browser's default context, whose pages Playwright does not control. */
export async function openPlainPage(browser: Browser, url: string): Promise<PlainPage> {
  const session = await browser.newBrowserCDPSession()
  const { targetId } = await session.send('Target.createTarget', { url: 'about:blank' })
  const send = await attach(session, targetId)
  // Answered after the page has left `about:blank`. Anything evaluated there would be lost.
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
    async setFrozen(isFrozen) {
      await send('Page.setWebLifecycleState', { state: isFrozen ? 'frozen' : 'active' })
    },
    async close() {
      await session.send('Target.closeTarget', { targetId })
      await session.detach()
    },
  }
}

/** The result of `Runtime.evaluate`. */
interface Evaluated {
  readonly result: { readonly value?: unknown }
  readonly exceptionDetails?: {
    readonly text: string
    readonly exception?: { readonly description?: string }
  }
}

/** @returns a function that sends a command to the page */
async function attach(session: CDPSession, targetId: string) {
  // Playwright only passes on messages of its own sessions. Without `flatten` these arrive as events of such a session.
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
