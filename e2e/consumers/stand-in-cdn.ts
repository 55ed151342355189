import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Page } from '@playwright/test'
import { rolldown } from 'rolldown'

const moduleCdn = 'https://esm.sh/'
const fileCdn = 'https://cdn.jsdelivr.net/npm/'
const headers = { 'access-control-allow-origin': '*' }

/**
 * Answers in place of two CDNs, from what an app has installed: one bundles each package for itself into a module whose
 * imports of other packages are addresses, the other serves packages' files as they are.
 */
export async function serveStandInCdn(page: Page, folder: string): Promise<void> {
  await page.route(`${moduleCdn}**`, async (route) => {
    const body = await bundlePackage(folder, readAddress(route.request().url(), moduleCdn))
    await route.fulfill({ body, headers, contentType: 'text/javascript' })
  })
  await page.route(`${fileCdn}**`, async (route) => {
    const file = readAddress(route.request().url(), fileCdn)
    const body = readFileSync(join(folder, 'node_modules', file))
    await route.fulfill({ body, headers, contentType: 'application/wasm' })
  })
}

/** `name/path` of an address that may pin `name@version/path`. */
function readAddress(url: string, origin: string): string {
  return url.slice(origin.length).replace(/^((?:@[^/]+\/)?[^/@]+)@[^/]+/, '$1')
}

async function bundlePackage(folder: string, entry: string): Promise<string> {
  const bundle = await rolldown({
    cwd: folder,
    input: entry,
    platform: 'browser',
    logLevel: 'silent',
    plugins: [
      {
        name: 'other-packages',
        resolveId: (id, importer) =>
          importer !== undefined && /^[@a-z]/.test(id) ? { id: moduleCdn + id, external: true } : undefined,
      },
    ],
  })
  const { output } = await bundle.generate({ codeSplitting: false, minify: true })
  return output[0].code
}
