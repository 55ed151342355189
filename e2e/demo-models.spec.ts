// The picker of models in the built demo, with real files and a real store.
import { AxeBuilder } from '@axe-core/playwright'
import { readFileSync } from 'node:fs'
import type { Locator, Page } from '@playwright/test'
import { expect, test as base } from 'rivulet/playwright'
import { startFaultServer, type FaultServer } from '../workers/store/fault-server.test-support.js'
import { answers, ask, openDemo, openServerDemo, serveAnswers, state } from './demo-page.js'
import type { FakeServer } from './fake-server.js'

const storiesFolder = 'demo/public/models/stories'
const storiesGguf = 'demo/public/models/stories.gguf'
const storiesFiles = [
  'config.json',
  'generation_config.json',
  'tokenizer.json',
  'tokenizer_config.json',
  'onnx/model_quantized.onnx',
]

interface Servers {
  /** Of models. */
  readonly server: FaultServer
  /** Of answers: where the picker is opened, most models need not be loaded. */
  readonly answering: FakeServer
}

const test = base.extend<Servers>({
  // oxlint-disable-next-line no-empty-pattern -- Playwright reads the parameter's form
  server: async ({}, use) => {
    const server = await startFaultServer()
    await use(server)
    await server.close()
  },
  answering: serveAnswers,
})
test.use({ serviceWorkers: 'block' })

const picker = (page: Page) => page.getByRole('dialog', { name: 'Models' })
const row = (page: Page, name: string) => picker(page).getByRole('listitem', { name, exact: true })

/** With the built-in model, or what a server answers for: then nothing is loaded. */
async function openPicker(page: Page, answering?: FakeServer): Promise<Locator> {
  await (answering ? openServerDemo(page, answering) : openDemo(page))
  await expect(state(page, 'ready')).toBeVisible()
  await page.getByRole('button', { name: 'Models', exact: true }).click()
  await expect(picker(page).getByText('Fits').first()).toBeVisible()
  return picker(page)
}

async function expectAnswer(page: Page): Promise<void> {
  await ask(page, 'Tell me a story about a dragon.')
  await expect(answers(page).last()).toHaveText(/\w+ \w+ \w+ \w+/)
}

function addByAddress(page: Page, address: string): Promise<void> {
  return test.step(`add ${address}`, async () => {
    await picker(page).getByLabel('Name on the hub, or address').fill(address)
    await picker(page).getByRole('button', { name: 'Add to the list' }).click()
  })
}

/** Chromium's own picker of files cannot be driven; other browsers have an input. */
async function removeFilePickers(page: Page): Promise<void> {
  await page.addInitScript(() => {
    Reflect.deleteProperty(window, 'showOpenFilePicker')
    Reflect.deleteProperty(window, 'showDirectoryPicker')
  })
}

test('each model shows its size, memory, runtime, licence and whether it fits', async ({ page }) => {
  await openPicker(page)
  const size = readFileSync(storiesGguf).length
  const stories = row(page, 'Stories, llama.cpp')
  await expect(stories).toContainText(`Download${(size / 1e6).toPrecision(3)} MB`)
  await expect(stories).toContainText(/MemoryAbout [\d.]+ MB/)
  await expect(stories).toContainText('LicenceMIT')
  await expect(stories).toContainText('Fits')
  await expect(row(page, 'Stories, ONNX Runtime')).toContainText('In use')
  const llama = row(page, 'Llama 3.2 1B Instruct, llama.cpp')
  await expect(llama).toContainText('Download808 MB')
  await expect(llama).toContainText('Llama 3.2 Community License')
})

test('what this device cannot run says why, and is not offered for download', async ({ page, answering }) => {
  await page.addInitScript(() => Reflect.deleteProperty(Navigator.prototype, 'gpu'))
  await openPicker(page, answering)
  const mlc = row(page, 'Llama 3.2 1B Instruct, WebLLM')
  await expect(mlc).toContainText('Does not fit')
  await expect(mlc).toContainText('no WebGPU')
  await expect(mlc.getByRole('button', { name: /^Download/ })).toHaveCount(0)
})

test('a model chosen from the list is loaded, and stands in the address', async ({ page, answering }) => {
  await openPicker(page, answering)
  await row(page, 'Stories, llama.cpp').getByRole('button', { name: /^Use/ }).click()
  await expect(picker(page)).toHaveCount(0)
  await expect(page.getByTestId('model')).toHaveText('stories · Q8_0')
  await expectAnswer(page)
  expect(new URL(page.url()).searchParams.get('backend')).toBe('llama-cpp')
})

test('a download shows its progress, pauses, goes on behind what came, and is used without its server', async ({
  page,
  server,
  answering,
}) => {
  let sizeBytes = 0
  for (const path of storiesFiles) {
    const bytes = readFileSync(`${storiesFolder}/${path}`)
    sizeBytes += bytes.length
    server.files.set(`tiny/${path}`, { bytes, faults: [] })
  }
  server.bytesPerSecond = 400_000
  await openPicker(page, answering)
  await addByAddress(page, `${server.url}tiny/`)
  const added = row(page, 'tiny, ONNX Runtime')
  await added.getByRole('button', { name: /^Download/ }).click()
  await expect(added.getByRole('progressbar')).toBeVisible()
  await expect(added).toContainText(/[\d.]+ (KB|MB) of 3\.\d+ MB · [\d.]+ KB\/s · \d+ s left/)
  await expect.poll(() => server.sentBytes).toBeGreaterThan(600_000)
  await added.getByRole('button', { name: /^Pause/ }).click()
  await expect(added).toContainText(/Paused at [\d.]+ (KB|MB) of 3\.\d+ MB/)
  await expect(picker(page).getByRole('status')).toHaveText('tiny: paused.')
  const pausedBytes = server.sentBytes
  expect(pausedBytes).toBeLessThan(sizeBytes)

  // Also in another tab's life: what came is in the store.
  await page.reload()
  await expect(state(page, 'ready')).toBeVisible()
  await page.getByRole('button', { name: 'Models', exact: true }).click()
  await expect(added).toContainText(/Paused at [\d.]+ (KB|MB) of 3\.\d+ MB/)
  server.bytesPerSecond = Infinity
  await added.getByRole('button', { name: /^Resume/ }).click()
  await expect(added).toContainText('On this device: 3.28 MB')
  await expect(picker(page).getByRole('status')).toHaveText('tiny: downloaded.')
  // A second of the first rate may lie in the sockets when the download is paused.
  expect(server.sentBytes - sizeBytes).toBeLessThan(500_000)

  server.isDown = true
  await added.getByRole('button', { name: /^Use/ }).click()
  await expect(page.getByTestId('model')).toHaveText(/^tiny/)
  await expectAnswer(page)
})

test('a removed model frees its storage', async ({ page, server }) => {
  server.files.set('small/stories.gguf', { bytes: readFileSync(storiesGguf), faults: [] })
  await openPicker(page)
  await row(page, 'Stories, ONNX Runtime')
    .getByRole('button', { name: /^Remove/ })
    .click()
  await expect(page.getByTestId('model-bytes')).toHaveText('0 bytes')
  const usedBefore = await page.evaluate(async () => (await navigator.storage.estimate()).usage ?? 0)
  await addByAddress(page, `${server.url}small/stories.gguf`)
  const added = row(page, 'stories, llama.cpp')
  await added.getByRole('button', { name: /^Download/ }).click()
  await expect(added).toContainText('On this device: 3.00 MB')
  await expect(page.getByTestId('model-bytes')).toHaveText('3.00 MB')
  await added.getByRole('button', { name: /^Remove/ }).click()
  await expect(page.getByTestId('model-bytes')).toHaveText('0 bytes')
  await expect
    .poll(() => page.evaluate(async () => (await navigator.storage.estimate()).usage ?? 0))
    .toBeLessThan(usedBefore + 1_000_000)
  await added.getByRole('button', { name: /^Forget/ }).click()
  await expect(added).toHaveCount(0)
})

test('a download that fails says why, and can be tried again', async ({ page, server, answering }) => {
  await openPicker(page, answering)
  await addByAddress(page, `${server.url}none/model.gguf`)
  const added = row(page, 'model, llama.cpp')
  await added.getByRole('button', { name: /^Download/ }).click()
  await expect(added.getByRole('alert')).toContainText('model-not-found')
  server.files.set('none/model.gguf', { bytes: readFileSync(storiesGguf), faults: [] })
  await added.getByRole('button', { name: /^Download/ }).click()
  await expect(added).toContainText('On this device: 3.00 MB')
  await expect(added.getByRole('alert')).toHaveCount(0)
})

test('a dropped GGUF file is loaded and answers; no address leads to it', async ({ page, answering }) => {
  await openPicker(page, answering)
  const bytes = readFileSync(storiesGguf).toString('base64')
  const transfer = await page.evaluateHandle(async (encoded) => {
    const data = new DataTransfer()
    const blob = await (await fetch(`data:application/octet-stream;base64,${encoded}`)).blob()
    data.items.add(new File([blob], 'mine.gguf'))
    return data
  }, bytes)
  await page.getByTestId('drop-zone').dispatchEvent('drop', { dataTransfer: transfer })
  await expect(page.getByTestId('model')).toHaveText(/^mine.*Q8_0/)
  await expectAnswer(page)
  expect(page.url()).not.toContain('mine')
})

test('an ONNX folder chosen by an input is loaded and answers', async ({ page, answering }) => {
  await removeFilePickers(page)
  await openPicker(page, answering)
  await expect(page.getByTestId('drop-zone')).toContainText('forgets the files when the tab is closed')
  await picker(page).getByLabel('Choose an ONNX folder').setInputFiles(storiesFolder)
  await expect(page.getByTestId('model')).toHaveText(/^stories/)
  await expectAnswer(page)
})

test('files that are no model are refused with a sentence', async ({ page, answering }) => {
  await removeFilePickers(page)
  await openPicker(page, answering)
  const input = picker(page).getByLabel('Choose a GGUF file')
  await input.setInputFiles('README.md')
  await expect(picker(page).getByRole('alert')).toContainText('That is no model')
  await input.setInputFiles(`${storiesFolder}/onnx/model_quantized.onnx`)
  await expect(picker(page).getByRole('alert')).toContainText('choose the whole folder')
})

test('a folder is remembered where the browser gives a handle, and can be forgotten', async ({
  page,
  answering,
}) => {
  const files = storiesFiles.map((path) => [
    path,
    readFileSync(`${storiesFolder}/${path}`).toString('base64'),
  ])
  await openPicker(page, answering)
  // A folder of the site's own file system, in place of one that a person would choose.
  await page.evaluate(async (given) => {
    const root = await navigator.storage.getDirectory()
    const folder = await root.getDirectoryHandle('my-stories', { create: true })
    for (const [path, encoded] of given as [string, string][]) {
      const segments = path.split('/')
      let parent = folder
      for (const name of segments.slice(0, -1))
        parent = await parent.getDirectoryHandle(name, { create: true })
      const file = await parent.getFileHandle(segments.at(-1)!, { create: true })
      const writable = await file.createWritable()
      await writable.write(await (await fetch(`data:application/octet-stream;base64,${encoded}`)).blob())
      await writable.close()
    }
    Object.assign(window, { showDirectoryPicker: async () => folder })
  }, files)
  await picker(page).getByRole('button', { name: 'Choose an ONNX folder' }).click()
  await expect(page.getByTestId('model')).toHaveText(/^my-stories/)
  await expectAnswer(page)

  // The next visit.
  await openServerDemo(page, answering)
  await expect(page.getByTestId('model')).toHaveText(/^story-model/)
  await page.getByRole('button', { name: 'Models', exact: true }).click()
  const remembered = picker(page).getByRole('list', { name: 'Your files' })
  await remembered.getByRole('button', { name: 'Open: my-stories' }).click()
  await expect(page.getByTestId('model')).toHaveText(/^my-stories/)
  await expectAnswer(page)

  await page.getByRole('button', { name: 'Models', exact: true }).click()
  await remembered.getByRole('button', { name: 'Forget: my-stories' }).click()
  await expect(remembered.getByRole('listitem')).toHaveCount(0)
})

test('the storage is told in all, with whether the browser keeps it', async ({ page }) => {
  await openPicker(page)
  const storage = picker(page).getByRole('region', { name: 'Storage' })
  await expect(storage).toContainText(/Models take 3\.28 MB\. In all, this site takes .* of .* GB/)
  await expect(storage).toContainText('may delete them')
  await storage.getByRole('button', { name: 'Ask the browser to keep them' }).click()
  await expect(picker(page).getByRole('status')).toHaveText(/browser/)
  await storage.getByRole('button', { name: 'Remove all downloads' }).click()
  await expect(page.getByTestId('model-bytes')).toHaveText('0 bytes')
})

test('the keyboard opens and closes the picker, and the focus comes back', async ({ page, answering }) => {
  await openServerDemo(page, answering)
  await expect(state(page, 'ready')).toBeVisible()
  const opener = page.getByRole('button', { name: 'Models', exact: true })
  await opener.focus()
  await page.keyboard.press('Enter')
  await expect(picker(page)).toBeVisible()
  await page.keyboard.press('Escape')
  await expect(picker(page)).toHaveCount(0)
  await expect(opener).toBeFocused()
})

test('axe finds nothing in the picker in both themes, and nothing overflows at 320 pixels', async ({
  page,
  server,
  answering,
}) => {
  await openPicker(page, answering)
  await addByAddress(page, `${server.url}a-very-long-name-of-a-folder-for-a-narrow-window/model.gguf`)
  const added = row(page, 'model, llama.cpp')
  await added.getByRole('button', { name: /^Download/ }).click()
  await expect(added.getByRole('alert')).toBeVisible()
  for (const colorScheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme })
    const { violations } = await new AxeBuilder({ page }).include('dialog').analyze()
    expect(
      violations.map(({ id, nodes }) => [id, nodes.map(({ html }) => html)]),
      colorScheme,
    ).toEqual([])
  }
  await page.setViewportSize({ width: 320, height: 640 })
  const overflow = await picker(page).evaluate((dialog) => dialog.scrollWidth - dialog.clientWidth)
  expect(overflow).toBeLessThanOrEqual(0)
})
