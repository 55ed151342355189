import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Page } from '@playwright/test'
import { rolldown } from 'rolldown'

const moduleCdn = 'https://esm.sh/'
const fileCdn = 'https://cdn.jsdelivr.net/npm/'
const headers = { 'access-control-allow-origin': '*' }

/**
 * Answers for two CDNs with the packages that an app has installed. One bundles each package into a module that imports
 * other packages by URL. The other serves the files of packages unchanged.
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

/** @returns `name/path` from a URL that may pin a version: `name@version/path` */
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
