import type { Page } from '@playwright/test'
import { expect } from 'rivulet/playwright'
import { startFakeServer, type FakeServer } from './fake-server.js'

/** The demo's page, as its tests see it. */
export const readouts = ['ttft', 'tps', 'itl-p50', 'itl-p95', 'total', 'tokens']

export async function openDemo(page: Page, parameters = 'device=wasm'): Promise<void> {
  await page.goto(`/?${parameters}`)
}

/** What does not depend on who answers needs no model: the server says what it is told. */
export const openServerDemo = (page: Page, { url }: Pick<FakeServer, 'url'>) =>
  openDemo(page, `backend=remote&server=${encodeURIComponent(url)}&model=story-model`)

/** A fixture: the server. */
// oxlint-disable-next-line no-empty-pattern -- Playwright reads the parameter's form
export async function serveAnswers({}: object, use: (server: FakeServer) => Promise<void>): Promise<void> {
  const server = await startFakeServer()
  await use(server)
  server.close()
}

export const state = (page: Page, name: string) => page.locator(`main[data-state=${name}]`)
export const answers = (page: Page) => page.getByTestId('answer')
/** A text's words: on the page it stands in paragraphs, of which a stream tells by line breaks. */
export const readWords = (text: string) => text.trim().split(/\s+/).join(' ')
export const readAnswer = async (page: Page) => readWords(await answers(page).first().innerText())
export const button = (page: Page, name: string) => page.getByRole('button', { name, exact: true })

export async function ask(page: Page, question: string): Promise<void> {
  await expect(state(page, 'ready')).toBeVisible()
  await page.getByRole('textbox', { name: 'Message' }).fill(question)
  await page.keyboard.press('Enter')
}
