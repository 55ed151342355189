import type { Page } from '@playwright/test'
import { expect, test } from 'rivulet/playwright'
import { answers, ask, button, newChatButton, openServerDemo, state } from './demo-page.js'
import { startFakeServer, type FakeServer } from './fake-server.js'

test.use({ serviceWorkers: 'block' })

let server: FakeServer

test.beforeEach(async ({ page }) => {
  server = await startFakeServer()
  await openServerDemo(page, server)
})
test.afterEach(() => server.close())

const questions = (page: Page) => page.locator('.question .turn-text')
const list = (page: Page) => page.getByRole('navigation', { name: 'Chats' })

/** Asks a question and waits for the complete answer. */
async function converse(page: Page, question: string): Promise<void> {
  await ask(page, question)
  await expect(answers(page).last()).toHaveText('Once upon a time')
  await expect(state(page, 'ready')).toBeVisible()
}

test('after a reload during an answer, the conversation has the text generated so far', async ({ page }) => {
  server.isEndless = true
  await ask(page, 'Tell me a story.')
  await expect(answers(page)).toContainText('time more more')
  const seen = await answers(page).innerText()
  // The most recent text may be missing: the page saves only a few times per second.
  const later = seen.length + ' more'.length * 25
  await expect.poll(async () => (await answers(page).innerText()).length).toBeGreaterThan(later)
  await page.reload()
  await expect(questions(page)).toHaveText('Tell me a story.')
  await expect(answers(page)).toContainText(seen.trim())
  await expect(
    page.getByText('Interrupted: the page was closed before the answer was complete.'),
  ).toBeVisible()
  await expect(list(page).getByRole('button', { name: 'Tell me a story.', exact: true })).toBeVisible()
  server.isEndless = false
  await expect(state(page, 'ready')).toBeVisible()
  await button(page, 'Regenerate').click()
  await expect(answers(page)).toHaveText('Once upon a time')
})

test('editing a question starts a branch and keeps the earlier one, also after a reload', async ({
  page,
}) => {
  await converse(page, 'First question')
  await converse(page, 'Second question')
  await button(page, 'Edit').first().click()
  await page.getByRole('textbox', { name: 'Edit message' }).fill('Another question')
  await page.keyboard.press('Enter')
  await expect(questions(page)).toHaveText(['Another question'])
  await expect(answers(page)).toHaveText(['Once upon a time'])
  await expect(state(page, 'ready')).toBeVisible()
  await button(page, 'Previous version of this message').click()
  await expect(questions(page)).toHaveText(['First question', 'Second question'])
  await page.reload()
  await expect(questions(page)).toHaveText(['First question', 'Second question'])
  await button(page, 'Next version of this message').click()
  await expect(questions(page)).toHaveText(['Another question'])
  await expect(page.getByRole('group', { name: 'Versions of this message' })).toContainText('2/2')
})

test('regenerating keeps the earlier answer as a version', async ({ page }) => {
  await converse(page, 'Tell me a story.')
  server.isEndless = true
  await button(page, 'Regenerate').click()
  await expect(answers(page)).toContainText('time more')
  await page.keyboard.press('Escape')
  await expect(page.getByText('Stopped.', { exact: true }).first()).toBeVisible()
  const second = await answers(page).innerText()
  await button(page, 'Previous version of this answer').click()
  await expect(answers(page)).toHaveText('Once upon a time')
  await button(page, 'Next version of this answer').click()
  await expect(answers(page)).toHaveText(second)
})

test('regenerating an answer before the last one starts a branch', async ({ page }) => {
  await converse(page, 'First question')
  await converse(page, 'Second question')
  await button(page, 'Regenerate').first().click()
  await expect(questions(page)).toHaveText(['First question'])
  await expect(answers(page)).toHaveText(['Once upon a time'])
  await button(page, 'Previous version of this answer').click()
  await expect(questions(page)).toHaveText(['First question', 'Second question'])
})

test('Copy copies the text of a question and of an answer', async ({ page, context }) => {
  await context.grantPermissions(['clipboard-read', 'clipboard-write'])
  await converse(page, 'Tell me a story.')
  const readClipboard = () => page.evaluate(() => navigator.clipboard.readText())
  await button(page, 'Copy').last().click()
  await expect(page.getByText('Copied.')).toBeAttached()
  expect(await readClipboard()).toBe('Once upon a time')
  await button(page, 'Copy').first().click()
  await expect.poll(readClipboard).toBe('Tell me a story.')
})

test('conversations can be listed, renamed, deleted and restored', async ({ page }) => {
  await converse(page, 'About dragons')
  await newChatButton(page).click()
  await converse(page, 'About boats')
  await expect(list(page).locator('.conversation-title')).toHaveText(['About boats', 'About dragons'])

  await list(page).getByRole('button', { name: 'About dragons', exact: true }).click()
  await expect(questions(page)).toHaveText(['About dragons'])
  await button(page, 'Rename “About dragons”').click()
  await page.getByRole('textbox', { name: 'Title' }).fill('Dragons')
  await page.keyboard.press('Enter')
  await expect(list(page).getByRole('button', { name: 'Dragons', exact: true })).toBeFocused()

  await button(page, 'Delete “Dragons”').click()
  await expect(list(page).locator('.conversation-title')).toHaveText(['About boats'])
  await expect(answers(page)).toHaveCount(0)
  await button(page, 'Undo').click()
  await expect(questions(page)).toHaveText(['About dragons'])
  await expect(list(page).locator('.conversation-title')).toContainText(['Dragons'])
})

test('two tabs have different conversations open and list both', async ({ page, context }) => {
  const other = await context.newPage()
  await openServerDemo(other, server)
  await converse(page, 'In the first tab')
  await converse(other, 'In the second tab')
  await converse(page, 'Once more in the first')
  for (const tab of [page, other]) {
    await expect(list(tab).locator('.conversation-title')).toHaveText([
      'In the first tab',
      'In the second tab',
    ])
  }
  await other.reload()
  await expect(questions(other)).toHaveText(['In the second tab'])
  await list(other).getByRole('button', { name: 'In the first tab', exact: true }).click()
  await expect(questions(other)).toHaveText(['In the first tab', 'Once more in the first'])
})

test('Escape closes the editor and dialogs, returns the focus and does not stop the answer', async ({
  page,
}) => {
  await converse(page, 'First question')
  server.isEndless = true
  await ask(page, 'Second question')
  await expect(answers(page).last()).toContainText('more')
  await button(page, 'Edit').first().click()
  await expect(page.getByRole('textbox', { name: 'Edit message' })).toBeFocused()
  await page.keyboard.press('Escape')
  await expect(button(page, 'Edit').first()).toBeFocused()
  for (const name of ['Settings', 'Models']) {
    await button(page, name).click()
    await expect(page.getByRole('dialog', { name })).toBeVisible()
    await page.keyboard.press('Escape')
    await expect(button(page, name)).toBeFocused()
  }
  await expect(state(page, 'generating')).toBeVisible()
  await page.keyboard.press('Escape')
  await expect(state(page, 'ready')).toBeVisible()
})

test('settings are validated by the library, saved, and sent with the next message', async ({ page }) => {
  await button(page, 'Settings').click()
  await page.getByLabel('Top-p').fill('2')
  await expect(page.getByText('"topP" must be a number above 0, up to 1; got 2.')).toBeVisible()
  await page.getByLabel('Temperature').fill('0.5')
  await page.getByLabel('System prompt').fill('Be brief.')
  await page.keyboard.press('Escape')
  await page.reload()
  await button(page, 'Settings').click()
  await expect(page.getByLabel('Temperature')).toHaveValue('0.5')
  await expect(page.getByLabel('Top-p')).toHaveValue('')
  await page.keyboard.press('Escape')
  const request = page.waitForRequest(/chat\/completions/)
  await converse(page, 'Tell me a story.')
  expect((await request).postDataJSON()).toMatchObject({
    temperature: 0.5,
    messages: [
      { role: 'system', content: 'Be brief.' },
      { role: 'user', content: 'Tell me a story.' },
    ],
  })
})

test.describe('in a small window', () => {
  test.use({ viewport: { width: 480, height: 400 } })

  test('scrolling up in a streaming answer stops following, and the button scrolls back to the bottom', async ({
    page,
  }) => {
    const readTop = () => page.evaluate(() => document.documentElement.scrollTop)
    const readDistance = () =>
      page.evaluate(() => {
        const { scrollHeight, clientHeight, scrollTop } = document.documentElement
        return Math.round(scrollHeight - clientHeight - scrollTop)
      })
    const readLength = async () => (await answers(page).innerText()).length
    const waitForMore = async () => {
      const later = (await readLength()) + ' more'.length * 20
      await expect.poll(readLength).toBeGreaterThan(later)
    }
    const toBottom = button(page, 'Scroll to bottom')
    const scrollUp = async () => {
      await page.mouse.move(240, 150)
      await page.mouse.wheel(0, -120)
      await expect(toBottom).toBeVisible()
      // Wait until the wheel's scroll animation has ended.
      await waitForMore()
      const top = await readTop()
      await waitForMore()
      expect(await readTop()).toBe(top)
      expect(await readDistance()).toBeGreaterThan(60)
    }
    const expectFollowing = async () => {
      await expect(toBottom).toHaveCount(0)
      await waitForMore()
      await expect.poll(readDistance).toBeLessThanOrEqual(1)
    }

    server.isEndless = true
    await ask(page, 'Tell me a story.')
    await expect.poll(readTop).toBeGreaterThan(150)
    await expectFollowing()
    await scrollUp()
    await toBottom.click()
    await expectFollowing()
    await expect(page.getByRole('textbox', { name: 'Message' })).toBeFocused()
    await scrollUp()
    await page.keyboard.press('Shift+Tab')
    await expect(toBottom).toBeFocused()
    await page.keyboard.press('Enter')
    await expectFollowing()
    await expect(page.getByRole('textbox', { name: 'Message' })).toBeFocused()
  })
})
