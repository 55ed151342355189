import { join } from 'node:path'
import { playwright } from '@vitest/browser-playwright'
import type { ProvidedContext } from 'vitest'
import { defineConfig } from 'vitest/config'
import { isSoak } from './e2e/soak.js'
import { chooseLaunchOptions } from './scripts/chromium.mjs'
import { chooseLavapipe } from './scripts/lavapipe.mjs'
import { precacheDemo } from './scripts/precache-demo.mjs'
import { serveSmolLm2 } from './scripts/smollm2.mjs'
import { float16Dtypes } from './lib/contract/onnx-options.js'
import type { ZooModel } from './workers/onnx/zoo-answers.test-support.js'
import { hasZoo, listZoo, readAnswers, zoo } from './workers/onnx/zoo.test-support.js'

const root = import.meta.dirname
const unitTests = ['lib', 'workers', 'demo', 'e2e'].map((folder) => `${folder}/**/*.test.{ts,tsx}`)
const browserTests = unitTests.map((pattern) => pattern.replace('.test.', '.browser.test.'))
/** The tests that compare the models of the zoo. They need a browser, and each adapter has a project of its own for them. */
const zooTests = unitTests.map((pattern) => pattern.replace('.test.', '.webgpu.test.'))

/** Tests that run in Chromium. They get `provide` from vitest's `inject`. */
function createBrowserProject(
  name: string,
  include: readonly string[],
  launchOptions: ReturnType<typeof chooseLaunchOptions>,
  provide: Partial<ProvidedContext>,
) {
  return {
    root,
    cacheDir: `.cache/vitest-${name}`,
    server: { fs: { allow: [root, zoo] } },
    optimizeDeps: {
      // ONNX Runtime looks for its WebAssembly beside its own module. The others are listed because vite reloads the
      // running tests when it discovers a dependency.
      exclude: ['onnxruntime-web', 'onnxruntime-web/jspi', 'onnxruntime-web/wasm', 'onnxruntime-web/webgpu'],
      include: [
        '@bufbuild/protobuf',
        '@bufbuild/protobuf/codegenv2',
        '@huggingface/tokenizers',
        '@mlc-ai/web-llm',
        '@preact/signals',
        'comlink',
        'hash-wasm',
        'idb',
        'marked',
        'preact',
        'preact/hooks',
        'preact/jsx-dev-runtime',
        'react',
        'react-dom',
        'react-dom/client',
      ],
    },
    test: {
      name,
      include: [...include],
      provide,
      browser: {
        enabled: true,
        headless: true,
        screenshotFailures: false,
        provider: playwright({ launchOptions }),
        instances: [{ browser: 'chromium' as const }],
      },
    },
  }
}

const lavapipe = chooseLavapipe()
if ('unavailable' in lavapipe && process.env.VITEST)
  process.stdout.write(`The tests of WebGPU with 16-bit floats are skipped. ${lavapipe.unavailable}\n`)

/** What depends on the adapter: SwiftShader has subgroups of 4 and no 16-bit floats, lavapipe has subgroups of 8. */
const adapterTests = ['attention-kernel', 'decoder', 'gpu-sampler', 'gpu-ranking', 'gpu-device'].map(
  (name) => `workers/onnx/${name}.browser.test.ts`,
)
/** Only for the soak: an adapter takes up to a minute to compile the shaders of a model. */
const zooModels = hasZoo ? listZoo() : []

function provideZoo(isIncluded: (model: ZooModel) => boolean) {
  const models = zooModels.filter(isIncluded)
  return {
    folder: zoo,
    models: models.map(({ name, dtype }) => ({ name, dtype, answers: readAnswers({ name, dtype }) })),
  }
}

const lavapipeProjects =
  'unavailable' in lavapipe
    ? []
    : [
        createBrowserProject(
          'lavapipe',
          [...adapterTests, ...(isSoak ? zooTests : [])],
          lavapipe.launchOptions,
          {
            floatTypes: isSoak ? ['float32', 'float16'] : ['float16'],
            isSoak,
            zoo: provideZoo(() => true),
          },
        ),
      ]
/** The zoo on SwiftShader, which has no 16-bit floats. */
const swiftShaderProjects = isSoak
  ? [
      createBrowserProject('swiftshader', zooTests, chooseLaunchOptions(), {
        zoo: provideZoo(({ dtype }) => !float16Dtypes.includes(dtype)),
      }),
    ]
  : []

/** How long each plugin took is no warning about the demo. */
const quiet = { pluginTimings: false }

/** The demo and the unit tests. `*.browser.test.ts` runs in a real browser, every other test in Node. */
export default defineConfig({
  root: 'demo',
  cacheDir: '../.cache/vite',
  // Relative, so that the built demo works in any folder of any host.
  base: './',
  build: {
    outDir: '../dist-demo',
    emptyOutDir: true,
    target: 'es2022',
    chunkSizeWarningLimit: 1000,
    rolldownOptions: {
      input: ['index.html', 'lab.html'].map((file) => `${root}/demo/${file}`),
      checks: quiet,
      // XGrammar's file also runs in Node, and imports modules of Node there.
      onLog(level, log, write) {
        if (!/web-xgrammar/.test(log.message)) write(level, log)
      },
    },
  },
  worker: { format: 'es', rolldownOptions: { checks: quiet } },
  plugins: [serveSmolLm2(), precacheDemo(join(root, 'demo/service-worker/service-worker.ts'))],
  preview: {
    // A cross-origin isolated page may use WASM threads.
    headers: { 'cross-origin-opener-policy': 'same-origin', 'cross-origin-embedder-policy': 'require-corp' },
  },
  test: {
    projects: [
      // No test has a time limit. On a busy machine vitest's default of five seconds would be one.
      {
        root,
        test: {
          name: 'node',
          include: unitTests,
          exclude: [...browserTests, ...zooTests],
          testTimeout: 60_000,
        },
      },
      createBrowserProject('browser', browserTests, chooseLaunchOptions(), {
        floatTypes: ['float32'],
        isSoak,
      }),
      ...lavapipeProjects,
      ...swiftShaderProjects,
    ],
  },
})
