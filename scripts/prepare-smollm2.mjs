// Downloads SmolLM2-135M-Instruct and converts it for the tests. `npm test` starts this first, so that no test waits.
import { fileURLToPath } from 'node:url'
import { runnerImport } from 'vite'

/** @type {{ module: typeof import('../e2e/models/prepare.ts') }} */
const { module } = await runnerImport(fileURLToPath(new URL('../e2e/models/prepare.ts', import.meta.url)))
module.prepareSmolLm2()
