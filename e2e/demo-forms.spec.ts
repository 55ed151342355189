// Answers in a form, and tools, on the built demo.
import { AxeBuilder } from '@axe-core/playwright'
import type { Page } from '@playwright/test'
import { expect, test as base } from 'rivulet/playwright'
import { answers, ask, button, openDemo, openServerDemo, serveAnswers, state } from './demo-page.js'
import type { FakeServer } from './fake-server.js'
import { startToolServer, type ToolServer } from './tool-server.js'

interface Servers {
  readonly answering: FakeServer
  readonly toolServer: ToolServer
}

const test = base.extend<Servers>({
  answering: serveAnswers,
  // oxlint-disable-next-line no-empty-pattern -- Playwright requires destructuring here
  toolServer: async ({}, use) => {
    const server = await startToolServer()
    await use(server)
    server.close()
  },
})
test.use({ serviceWorkers: 'block' })

const form = (page: Page) => page.getByLabel('Form of the answer')
const tree = (page: Page) => page.getByTestId('value')
const toolsButton = (page: Page) => button(page, 'Tools')
const notice = (page: Page) => page.getByRole('group', { name: 'Notice' })
const question = 'Tell me a story about a dragon.'

async function expectNoViolations(page: Page): Promise<void> {
  for (const colorScheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme })
    const { violations } = await new AxeBuilder({ page }).analyze()
    expect(
      violations.map(({ id, nodes }) => [id, nodes.map(({ html }) => html)]),
      colorScheme,
    ).toEqual([])
  }
}

test('the built-in model answers with a tree that grows and is valid; the grammar engine loads only then', async ({
  page,
}) => {
  const engineLoads: string[] = []
  page.on('request', (request) => {
    if (/assets\/lib-/.test(request.url())) engineLoads.push(request.url())
  })
  await openDemo(page)
  await ask(page, question)
  await expect(answers(page)).toHaveText(/\w+ \w+/)
  await expect(state(page, 'ready')).toBeVisible()
  expect(engineLoads).toEqual([])

  await form(page).selectOption('Story facts')
  await ask(page, question)
  const sizes = page.evaluate(
    () =>
      new Promise<readonly number[]>((resolve) => {
        const seen = new Set<number>()
        new MutationObserver(() => {
          seen.add(document.querySelectorAll('.value-tree li').length)
          if (document.querySelector('.value-valid')) resolve([...seen])
        }).observe(document.body, { subtree: true, childList: true, characterData: true })
      }),
  )
  await expect(tree(page)).toContainText('Valid: the answer has the form that you chose.')
  expect((await sizes).length).toBeGreaterThan(4)
  expect(engineLoads).toHaveLength(1)
  const value = JSON.parse((await tree(page).locator('pre').textContent()) ?? '') as Record<string, unknown>
  expect(value).toEqual({
    title: expect.stringMatching(/^.{1,40}$/u),
    hero: { name: expect.stringMatching(/^[A-Z][a-z]+$/), age: expect.any(Number) },
    animals: expect.arrayContaining([expect.any(String)]),
    place: expect.stringMatching(/^(a|the) /),
    opening: expect.stringMatching(/^[A-Z].*\.$/),
    pages: expect.any(Number),
    endsWell: expect.any(Boolean),
  })
  await tree(page).locator('.value-json summary').click()
  await expectNoViolations(page)

  // It is kept with the conversation.
  await page.reload()
  await expect(tree(page)).toContainText('endsWell')
})

test('the user’s own schema is checked, used and kept', async ({ page }) => {
  await openDemo(page)
  await expect(state(page, 'ready')).toBeVisible()
  await form(page).selectOption('Your schema')
  const dialog = page.getByRole('dialog', { name: 'Your schema' })
  const field = dialog.getByLabel('JSON schema')
  const use = dialog.getByRole('button', { name: 'Use this schema' })
  const refusals = [
    ['{ "type": ', 'This is not JSON'],
    ['[]', 'A JSON schema is an object'],
    ['{ "$ref": "#" }', 'refers to itself'],
  ] as const
  for (const [text, reason] of refusals) {
    await field.fill(text)
    await use.click()
    await expect(dialog.getByRole('alert')).toContainText(reason)
  }
  await expectNoViolations(page)
  await field.fill('{ "type": "object", "properties": { "sure": { "const": true } }, "required": ["sure"] }')
  await use.click()
  await expect(dialog).toBeHidden()
  await ask(page, question)
  await expect(tree(page)).toContainText('sure')
  await expect(tree(page)).toContainText('Valid')

  await button(page, 'Edit your schema').click()
  await field.fill('{ "contains": {} }')
  await use.click()
  await ask(page, question)
  // The runtime refuses the keyword by its name.
  await expect(page.getByRole('region', { name: 'Chat' })).toContainText('"contains"')
})

test('a model that takes no forms and no tools says so, and offers another model', async ({
  page,
  answering,
}) => {
  await openServerDemo(page, answering)
  await expect(state(page, 'ready')).toBeVisible()
  await form(page).selectOption('Story facts')
  await expect(notice(page)).toContainText('This model cannot answer in this form.')
  await expect(form(page)).toHaveValue('text')
  await toolsButton(page).click()
  await expect(notice(page)).toContainText('This model has no tools')
  await expect(toolsButton(page)).toHaveAttribute('aria-pressed', 'false')
  await notice(page).getByRole('button', { name: 'Choose another model' }).click()
  await expect(page.getByRole('dialog', { name: 'Models' })).toBeVisible()
})

test('a tool runs: the call with its arguments, the result, then the answer', async ({
  page,
  toolServer,
}) => {
  await openDemo(page, `backend=remote&server=${encodeURIComponent(toolServer.url)}&model=tool-model`)
  await expect(state(page, 'ready')).toBeVisible()
  await toolsButton(page).click()
  await expect(toolsButton(page)).toHaveAttribute('aria-pressed', 'true')
  toolServer.pieceMs = 150
  await ask(page, 'What is 12 times 7?')
  const call = page.getByRole('list', { name: 'Tool calls' }).getByRole('listitem')
  await expect(call).toContainText('The model writes the call…')
  await expect(call.locator('code')).toHaveText('{"expression": "12 * (3 + 4)"}')
  await expect(call).toContainText('Calculator')
  await expect(call).toContainText('Result: 84')
  await expect(answers(page)).toHaveText('The result is 84.')
  expect(toolServer.requests[0]?.tools?.map((tool) => tool.function.name)).toEqual([
    'calculate',
    'clock',
    'search_page',
  ])
  await expect(page.locator('.tool-round .reasoning')).toBeVisible()
  await expect(state(page, 'ready')).toBeVisible()
  await expectNoViolations(page)

  toolServer.pieceMs = 5
  toolServer.callArguments = '{"expression": "process.exit() <b>1</b>"}'
  await ask(page, 'And this?')
  await expect(call.last()).toContainText('Failed: ')
  await expect(call.last().locator('b')).toHaveCount(0)
  await expect(answers(page).last()).toContainText('The result is Error')

  await toolsButton(page).click()
  await ask(page, 'And without tools?')
  await expect(answers(page)).toHaveCount(3)
  await expect(answers(page).last()).toHaveText(/\w/)
  expect(toolServer.requests.at(-1)).not.toHaveProperty('tools')
})
