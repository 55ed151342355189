// The model picker of the built demo, with real files and a real model store.
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
  /** Serves model files. */
  readonly server: FaultServer
  /** Generates answers, for tests of the picker that need no local model. */
  readonly answering: FakeServer
}

const test = base.extend<Servers>({
  // oxlint-disable-next-line no-empty-pattern -- Playwright requires destructuring here
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

/** Opens the picker with the built-in model, or with a server as the backend: then no model is loaded. */
async function openPicker(page: Page, answering?: FakeServer): Promise<Locator> {
  await (answering ? openServerDemo(page, answering) : openDemo(page))
  await expect(state(page, 'ready')).toBeVisible()
  await page.getByRole('button', { name: 'Models', exact: true }).click()
  await expect(picker(page).getByText('Compatible').first()).toBeVisible()
  return picker(page)
}

async function expectAnswer(page: Page): Promise<void> {
  await ask(page, 'Tell me a story about a dragon.')
  await expect(answers(page).last()).toHaveText(/\w+ \w+ \w+ \w+/)
}

function addByUrl(page: Page, url: string): Promise<void> {
  return test.step(`add ${url}`, async () => {
    await picker(page).getByLabel('Hugging Face name or URL').fill(url)
    await picker(page).getByRole('button', { name: 'Add to list' }).click()
  })
}

/** Playwright cannot drive Chromium's file pickers. Without them the page shows a file input, as in other browsers. */
async function removeFilePickers(page: Page): Promise<void> {
  await page.addInitScript(() => {
    Reflect.deleteProperty(window, 'showOpenFilePicker')
    Reflect.deleteProperty(window, 'showDirectoryPicker')
  })
}

test('each model shows its size, memory, backend, licence and compatibility', async ({ page }) => {
  await openPicker(page)
  const size = readFileSync(storiesGguf).length
  const stories = row(page, 'Stories, llama.cpp')
  await expect(stories).toContainText(`Download size${(size / 1e6).toPrecision(3)} MB`)
  await expect(stories).toContainText(/MemoryAbout [\d.]+ MB/)
  await expect(stories).toContainText('Compatible')
  await expect(stories).toContainText('On this page’s server: models/stories.gguf')
  await expect(row(page, 'Stories, ONNX Runtime')).toContainText('In use')
  await expect(row(page, 'Stories')).toContainText('Licence: MIT')
  const llama = row(page, 'Llama 3.2 1B Instruct, llama.cpp')
  await expect(llama).toContainText('Download size808 MB')
  const card = row(page, 'Llama 3.2 1B Instruct')
  await expect(card).toContainText('Llama 3.2 Community License')
  await expect(card.getByRole('listitem')).toHaveCount(3)
  // Chromium has no model of its own.
  const browserModel = row(page, 'The browser’s own model, Prompt API')
  await expect(browserModel).toContainText('Not supported')
  await expect(browserModel).toContainText(/Prompt API|browser's model/)
  await expect(browserModel.getByRole('button', { name: /^(Download|Delete)/ })).toHaveCount(0)
})

test('the file that npm start has prepared is named, and its model comes after the built-in one', async ({
  page,
  answering,
}) => {
  const path = 'models/smollm2/smollm2-135m-instruct.gguf'
  const headers = { 'content-length': '93000000', 'content-type': 'application/octet-stream' }
  await page.route(`**/${path}`, (route) => route.fulfill({ headers }))
  await openPicker(page, answering)
  const prepared = picker(page).locator('.model-card').nth(1)
  await expect(prepared).toHaveAccessibleName('SmolLM2 135M Instruct')
  await expect(prepared).toContainText(`On this page’s server: ${path}`)
})

test('a model that cannot run here shows the reason and has no Download button', async ({
  page,
  answering,
}) => {
  await page.addInitScript(() => Reflect.deleteProperty(Navigator.prototype, 'gpu'))
  await openPicker(page, answering)
  const mlc = row(page, 'Llama 3.2 1B Instruct, WebLLM')
  await expect(mlc).toContainText('Not supported')
  await expect(mlc).toContainText('no WebGPU')
  await expect(mlc.getByRole('button', { name: /^Download/ })).toHaveCount(0)
})

test('a model chosen from the list is loaded and written to the page’s URL', async ({ page, answering }) => {
  await openPicker(page, answering)
  await row(page, 'Stories, llama.cpp').getByRole('button', { name: /^Use/ }).click()
  await expect(picker(page)).toHaveCount(0)
  await expect(page.getByTestId('model')).toHaveText('stories · Q8_0')
  await expectAnswer(page)
  expect(new URL(page.url()).searchParams.get('backend')).toBe('llama-cpp')
})

test('a download shows its progress, pauses, resumes, and then the model loads without its server', async ({
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
  await addByUrl(page, `${server.url}tiny/`)
  const added = row(page, 'tiny, ONNX Runtime')
  await added.getByRole('button', { name: /^Download/ }).click()
  await expect(added.getByRole('progressbar')).toBeVisible()
  // The model's 4.03 MB and its runtime.
  await expect(added).toContainText(/[\d.]+ (KB|MB) of 1\d\.\d+ MB · [\d.]+ [KM]B\/s · \d+ s left/)
  await expect.poll(() => server.sentBytes).toBeGreaterThan(600_000)
  await added.getByRole('button', { name: /^Pause/ }).click()
  await expect(added).toContainText(/Paused at [\d.]+ (KB|MB) of 4\.\d+ MB/)
  await expect(picker(page).getByRole('status')).toHaveText('tiny: paused.')
  const pausedBytes = server.sentBytes
  expect(pausedBytes).toBeLessThan(sizeBytes)

  // The partial download is in the store and survives a reload.
  await page.reload()
  await expect(state(page, 'ready')).toBeVisible()
  await page.getByRole('button', { name: 'Models', exact: true }).click()
  await expect(added).toContainText(/Paused at [\d.]+ (KB|MB) of 4\.\d+ MB/)
  server.bytesPerSecond = Infinity
  await added.getByRole('button', { name: /^Resume/ }).click()
  await expect(added).toContainText('Downloaded: 4.03 MB')
  await expect(picker(page).getByRole('status')).toHaveText('tiny: downloaded.')
  // When the download is paused, the sockets may still buffer a second of data at the first rate.
  expect(server.sentBytes - sizeBytes).toBeLessThan(500_000)

  server.isDown = true
  await added.getByRole('button', { name: /^Use/ }).click()
  await expect(page.getByTestId('model')).toHaveText(/^tiny/)
  await expectAnswer(page)
})

test('deleting a model frees its storage', async ({ page, server }) => {
  server.files.set('small/stories.gguf', { bytes: readFileSync(storiesGguf), faults: [] })
  await openPicker(page)
  await row(page, 'Stories, ONNX Runtime')
    .getByRole('button', { name: /^Delete/ })
    .click()
  await expect(page.getByTestId('model-bytes')).toHaveText('0 bytes')
  await addByUrl(page, `${server.url}small/stories.gguf`)
  const added = row(page, 'stories, llama.cpp')
  const downloadAndDelete = async () => {
    await added.getByRole('button', { name: /^Download/ }).click()
    await expect(added).toContainText('Downloaded: 3.70 MB')
    await expect(page.getByTestId('model-bytes')).toHaveText('3.70 MB')
    await added.getByRole('button', { name: /^Delete/ }).click()
    await expect(page.getByTestId('model-bytes')).toHaveText('0 bytes')
  }
  const readUsage = () => page.evaluate(async () => (await navigator.storage.estimate()).usage ?? 0)
  // The first download also brings the runtime, which stays for other models.
  await downloadAndDelete()
  const usedBefore = await readUsage()
  await downloadAndDelete()
  await expect.poll(readUsage).toBeLessThan(usedBefore + 1_000_000)
  await added.getByRole('button', { name: /^Remove from list/ }).click()
  await expect(added).toHaveCount(0)
})

test('a failed download shows the reason and can be retried', async ({ page, server, answering }) => {
  await openPicker(page, answering)
  await addByUrl(page, `${server.url}none/model.gguf`)
  const added = row(page, 'model, llama.cpp')
  await added.getByRole('button', { name: /^Download/ }).click()
  await expect(added.getByRole('alert')).toContainText('The model was not found.')
  await expect(added.getByRole('alert').getByText('model-not-found')).toBeHidden()
  server.files.set('none/model.gguf', { bytes: readFileSync(storiesGguf), faults: [] })
  await added.getByRole('button', { name: /^Download/ }).click()
  await expect(added).toContainText('Downloaded: 3.70 MB')
  await expect(added.getByRole('alert')).toHaveCount(0)
})

test('a dropped GGUF file loads and answers; the page’s URL does not name it', async ({
  page,
  answering,
}) => {
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

test('an ONNX folder from a file input loads and answers', async ({ page, answering }) => {
  await removeFilePickers(page)
  await openPicker(page, answering)
  await expect(page.getByTestId('drop-zone')).toContainText('does not remember the files')
  await picker(page).getByLabel('Choose an ONNX folder').setInputFiles(storiesFolder)
  await expect(page.getByTestId('model')).toHaveText(/^stories/)
  await expectAnswer(page)
})

test('files that are not a model are rejected with a message', async ({ page, answering }) => {
  await removeFilePickers(page)
  await openPicker(page, answering)
  const input = picker(page).getByLabel('Choose a GGUF file')
  await input.setInputFiles('README.md')
  await expect(picker(page).getByRole('alert')).toContainText('This is not a model')
  await input.setInputFiles(`${storiesFolder}/onnx/model_quantized.onnx`)
  await expect(picker(page).getByRole('alert')).toContainText('Choose the whole folder')
})

test('a folder with a handle is remembered, and can be removed from the list', async ({
  page,
  answering,
}) => {
  const files = storiesFiles.map((path) => [
    path,
    readFileSync(`${storiesFolder}/${path}`).toString('base64'),
  ])
  await openPicker(page, answering)
  // A folder in the origin private file system stands in for a folder on the user's disk.
  await page.evaluate(async (entries) => {
    const root = await navigator.storage.getDirectory()
    const folder = await root.getDirectoryHandle('my-stories', { create: true })
    for (const [path, encoded] of entries as [string, string][]) {
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
  const remembered = picker(page).getByRole('list', { name: 'Local files' })
  await remembered.getByRole('button', { name: 'Open: my-stories' }).click()
  await expect(page.getByTestId('model')).toHaveText(/^my-stories/)
  await expectAnswer(page)

  await page.getByRole('button', { name: 'Models', exact: true }).click()
  await remembered.getByRole('button', { name: 'Remove from list: my-stories' }).click()
  await expect(remembered.getByRole('listitem')).toHaveCount(0)
})

test('the storage panel shows the storage used and whether the browser may delete it', async ({ page }) => {
  await openPicker(page)
  const storage = picker(page).getByRole('region', { name: 'Storage' })
  await expect(storage).toContainText(
    /models: 4\.03 MB, and by the software that runs them: \d\d\.\d MB\. Storage used by this site: .* of .* GB/,
  )
  await expect(storage).toContainText('may delete the models')
  await storage.getByRole('button', { name: 'Request persistent storage' }).click()
  await expect(picker(page).getByRole('status')).toHaveText(/browser/)
  await storage.getByRole('button', { name: 'Delete all models' }).click()
  await expect(page.getByTestId('model-bytes')).toHaveText('0 bytes')
})

test('the keyboard opens and closes the picker, and the focus returns to its button', async ({
  page,
  answering,
}) => {
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

test('axe reports nothing in the picker in both themes, and nothing overflows at 320 pixels', async ({
  page,
  server,
  answering,
}) => {
  await openPicker(page, answering)
  await addByUrl(page, `${server.url}a-very-long-name-of-a-folder-for-a-narrow-window/model.gguf`)
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
