import type { Page, Request } from '@playwright/test'
import { expect } from 'rivulet/playwright'
import { startFakeServer, type FakeServer } from './fake-server.js'

/** Test ids of the readouts that every run fills. */
export const readouts = ['ttft', 'tps', 'itl-p50', 'itl-p95', 'total', 'tokens']

export async function openDemo(page: Page, parameters = 'device=wasm'): Promise<void> {
  await page.goto(`/?${parameters}`)
}

/** Opens the demo with a fake server as its backend: no model has to be loaded. */
export const openServerDemo = (page: Page, { url }: Pick<FakeServer, 'url'>) =>
  openDemo(page, `backend=remote&server=${encodeURIComponent(url)}&model=story-model`)

/**
 * Whether a failed request is only the end of a page with a SharedWorker: when a page is left, Chromium 156 reports the script of
 * its SharedWorkers as aborted, also when it was loaded long ago. The console shows nothing.
 */
export function isLeftSharedWorker(request: Request): boolean {
  const isAborted = request.failure()?.errorText === 'net::ERR_ABORTED'
  return isAborted && /\/switchboard\.worker-[^/]+\.js$/.test(request.url())
}

/** A fixture: the fake server. */
// oxlint-disable-next-line no-empty-pattern -- Playwright requires destructuring here
export async function serveAnswers({}: object, use: (server: FakeServer) => Promise<void>): Promise<void> {
  const server = await startFakeServer()
  await use(server)
  server.close()
}

export const state = (page: Page, name: string) => page.locator(`main[data-state=${name}]`)
export const answers = (page: Page) => page.getByTestId('answer')
/** Normalizes white space: a line break in the stream is a paragraph on the page. */
export const readWords = (text: string) => text.trim().split(/\s+/).join(' ')
export const readAnswer = async (page: Page) => readWords(await answers(page).first().innerText())
export const button = (page: Page, name: string) => page.getByRole('button', { name, exact: true })
export const newChatButton = (page: Page) => button(page, 'New chat')

export async function ask(page: Page, question: string): Promise<void> {
  await expect(state(page, 'ready')).toBeVisible()
  const field = page.getByRole('textbox', { name: 'Message' })
  await field.fill(question)
  // A layout that changes meanwhile can move the focus: this press focuses the field again.
  await field.press('Enter')
}
