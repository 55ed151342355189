import { readFile } from 'node:fs/promises'
import { AxeBuilder } from '@axe-core/playwright'
import { expect, test, type Page } from '@playwright/test'
import { answers, ask, openDemo, state } from './demo-page.js'

const questions = ['Tell me a story about a dragon.', 'And one about a boat.'] as const

/** Asks all questions; each answer is recorded as a run. */
async function askAll(page: Page): Promise<void> {
  await openDemo(page)
  for (const question of questions) await ask(page, question)
  await expect(answers(page)).toHaveCount(questions.length)
  await expect(state(page, 'ready')).toBeVisible()
}

async function openRuns(page: Page) {
  await page.getByRole('button', { name: 'Runs and charts' }).click()
  const dialog = page.getByRole('dialog', { name: 'Runs' })
  await expect(dialog.getByRole('checkbox')).toHaveCount(questions.length)
  return dialog
}

test('answers are stored as runs across reloads, with waterfall, chart, comparison and JSON export', async ({
  page,
}) => {
  await askAll(page)
  await openRuns(page)
  await page.reload()
  const dialog = await openRuns(page)
  await expect(dialog.getByRole('heading', { name: questions[1] })).toBeVisible()
  await expect(
    dialog.getByRole('table', { name: 'Waterfall' }).getByRole('row', { name: /^Prefill/ }),
  ).toHaveText(/\d m?s/)
  await expect(dialog.getByRole('img', { name: /\d+ gaps between tokens: p50/ })).toBeVisible()
  await expect(dialog.locator('.chart canvas')).toBeVisible()
  const { violations } = await new AxeBuilder({ page }).include('dialog.runs').analyze()
  expect(violations.map(({ id, nodes }) => [id, nodes.map(({ html }) => html)])).toEqual([])

  for (const question of questions) await dialog.getByRole('checkbox', { name: question }).check()
  const comparison = dialog.getByRole('table', { name: 'Two runs compared' })
  await expect(comparison.getByRole('row', { name: /^Decode speed/ })).toHaveText(/[\d.]+ ×/)

  const downloading = page.waitForEvent('download')
  await dialog.getByRole('button', { name: 'Export selected as JSON' }).click()
  const exported: unknown = JSON.parse(await readFile(await (await downloading).path(), 'utf8'))
  expect(exported).toMatchObject({ format: 'rivulet-runs', version: 1 })
  const { runs } = exported as { runs: { prompt: string; gapsMs: number[]; figures: { tokens: number } }[] }
  expect(runs.map(({ prompt }) => prompt)).toEqual(questions)
  for (const { gapsMs, figures } of runs) expect(gapsMs).toHaveLength(figures.tokens - 1)

  await dialog.getByRole('button', { name: 'Delete all runs' }).click()
  await expect(dialog.getByText('No runs yet')).toBeVisible()
})
