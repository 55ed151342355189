// The Web Platform Tests of `ai/language-model`, unchanged, on rivulet/prompt-api. They are not part of this repository:
// `RIVULET_WPT=<a checkout of web-platform-tests/wpt> npx vitest run --project node e2e/wpt.test.ts`. They expect a model that
// repeats its prompt, so the engine is scripted.
import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { createScriptedEngine, type Script } from '../lib/chat/scripted-engine.test-support.js'
import type { CheckedRequest } from '../lib/check-request.js'
import { createLanguageModel } from '../lib/prompt-api.js'

const checkout = process.env.RIVULET_WPT
const folder = checkout === undefined ? undefined : join(checkout, 'ai/language-model')

/** The titles of tests that need more than the class: an engine that compiles schemas. onnx() with xgrammar() refuses these. */
const compilerTests: readonly RegExp[] = [
  /^Prompt should reject response schemas with invalid types/,
  /^Prompt should reject if the prefix deviates/,
]

/** The titles of tests that fail, because the class follows the explainer: docs/guides/prompt-api.md has the reasons. */
const differences: ReadonlySet<string> = new Set(['Check empty Object input for LanguageModel.append()'])

/** What a file's tests can call: the part of testharness.js that `ai/language-model` uses. */
function createHarness() {
  const tests: { readonly name: string; readonly run: () => Promise<unknown> }[] = []
  const reason = (promise: PromiseLike<unknown>) =>
    Promise.resolve(promise).then(
      () => expect.fail('The promise resolved.'),
      (error: unknown) => error,
    )
  const assert = (holds: boolean, message = 'The assertion does not hold.') =>
    void (holds || expect.fail(message))
  const harness = {
    promise_test: (run: (t: object) => Promise<unknown>, name = 'without a title') =>
      tests.push({ name, run: async () => run({ add_cleanup() {}, step_timeout: setTimeout }) }),
    assert_true: (value: unknown, message?: string) => assert(value === true, message),
    assert_false: (value: unknown, message?: string) => assert(value === false, message),
    assert_equals: (value: unknown, wanted: unknown) => expect(value).toBe(wanted),
    assert_not_equals: (value: unknown, other: unknown) => expect(value).not.toBe(other),
    assert_in_array: (value: unknown, list: readonly unknown[]) => expect(list).toContain(value),
    assert_greater_than: (value: number, limit: number) => expect(value).toBeGreaterThan(limit),
    assert_greater_than_equal: (value: number, limit: number) => expect(value).toBeGreaterThanOrEqual(limit),
    assert_less_than: (value: number, limit: number) => expect(value).toBeLessThan(limit),
    assert_less_than_equal: (value: number, limit: number) => expect(value).toBeLessThanOrEqual(limit),
    assert_regexp_match: (value: string, pattern: RegExp) => expect(value).toMatch(pattern),
    assert_own_property: (value: object, name: string) => assert(Object.hasOwn(value, name)),
    assert_implements_optional: (value: unknown, message: string) => assert(Boolean(value), message),
    assert_unreached: (message: string) => expect.fail(message),
    promise_rejects_dom: async (_: object, name: string, promise: Promise<unknown>) =>
      expect(await reason(promise)).toMatchObject({ name }),
    promise_rejects_js: async (_: object, kind: ErrorConstructor, promise: Promise<unknown>) =>
      expect(await reason(promise)).toBeInstanceOf(kind),
    promise_rejects_exactly: async (_: object, error: unknown, promise: Promise<unknown>) =>
      expect(await reason(promise)).toBe(error),
    promise_rejects_quotaexceedederror: async (
      _: object,
      promise: Promise<unknown>,
      requested: number,
      quota: number,
    ) => expect(await reason(promise)).toMatchObject({ name: 'QuotaExceededError', requested, quota }),
    test_driver: { bless: () => Promise.resolve() },
    gc() {},
  }
  return { harness, tests }
}

/** Repeats the conversation; or answers in the form that is demanded. */
function repeatPrompt({ prompt, assistantPrefix = '', options }: CheckedRequest): Script {
  if (options.responseFormat?.kind === 'json-schema')
    return { words: ['{ "Rating": 3 }'.slice(assistantPrefix.length)] }
  if (options.responseFormat) return { words: ['0.5'] }
  const texts = typeof prompt === 'string' ? [prompt] : prompt.map(({ content }) => content)
  return { words: [texts.join(' '), '.'] }
}

function readFiles(path: string): string[] {
  return readdirSync(path, { recursive: true, encoding: 'utf8' }).filter(
    (name) => name.endsWith('.window.js') && !/multimodal/.test(name),
  )
}

describe.skipIf(folder === undefined || !existsSync(folder))(
  'the Web Platform Tests of the Prompt API (RIVULET_WPT names a checkout)',
  () => {
    afterEach(() => vi.unstubAllGlobals())

    for (const name of folder === undefined ? [] : readFiles(folder)) {
      const { harness, tests } = createHarness()
      const scripts = [join(checkout!, 'ai/resources/util.js'), join(folder!, name)]
      const code = scripts.map((path) => readFileSync(path, 'utf8')).join('\n')
      // oxlint-disable-next-line no-new-func -- the files are scripts of a page
      new Function(...Object.keys(harness), code)(...Object.values(harness))
      describe(name, () => {
        for (const { name: title, run } of tests) {
          const needsCompiler = compilerTests.some((pattern) => pattern.test(title))
          const define = differences.has(title) ? it.fails : it.skipIf(needsCompiler)
          define(title, async () => {
            vi.stubGlobal('ProgressEvent', LoadedEvent)
            vi.stubGlobal(
              'LanguageModel',
              createLanguageModel(createScriptedEngine(repeatPrompt, { contextLength: 500 })),
            )
            await run()
          })
        }
      })
    }
  },
)

// Node 20 lacks two functions that the tests use.
Object.assign(Promise, {
  withResolvers() {
    let settle = {}
    const promise = new Promise((resolve, reject) => (settle = { resolve, reject }))
    return { promise, ...settle }
  },
})
Object.assign(Array, {
  async fromAsync(values: AsyncIterable<unknown>) {
    const all: unknown[] = []
    for await (const value of values) all.push(value)
    return all
  },
})

/** Node has no `ProgressEvent`. */
class LoadedEvent extends Event {
  readonly loaded: number
  readonly total: number
  readonly lengthComputable: boolean
  constructor(type: string, { loaded = 0, total = 0, lengthComputable = false }: ProgressEventInit = {}) {
    super(type)
    this.loaded = loaded
    this.total = total
    this.lengthComputable = lengthComputable
  }
}
