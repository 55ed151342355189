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
  const { targetId } = await session.send('Target.createTarget', { url })
  const send = await attach(session, targetId)
  return {
    async evaluate<Result>(run: () => Result | Promise<Result>) {
      const { result, exceptionDetails } = await send('Runtime.evaluate', {
        expression: `(${run})()`,
        awaitPromise: true,
        returnByValue: true,
        userGesture: true,
      })
      if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text)
      return result.value as Result
    },
    async close() {
      await session.send('Target.closeTarget', { targetId })
      await session.detach()
    },
  }
}

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
  const waiting = new Map<number, (answer: Evaluated) => void>()
  session.on('Target.receivedMessageFromTarget', (event) => {
    const { id, result } = JSON.parse(event.message) as { id: number; result: Evaluated }
    if (event.sessionId === sessionId) waiting.get(id)?.(result)
  })
  let id = 0
  return async (method: string, params: object): Promise<Evaluated> => {
    id += 1
    const answer = new Promise<Evaluated>((resolve) => waiting.set(id, resolve))
    const message = JSON.stringify({ id, method, params })
    await session.send('Target.sendMessageToTarget', { sessionId, message })
    return answer
  }
}
