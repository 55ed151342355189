import type { Page } from '@playwright/test'
import { expect } from 'rivulet/playwright'

/** The demo's page, as its tests see it. */
export const readouts = ['ttft', 'tps', 'itl-p50', 'itl-p95', 'total', 'tokens']

export async function openDemo(page: Page, parameters = 'device=wasm'): Promise<void> {
  await page.goto(`/?${parameters}`)
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
