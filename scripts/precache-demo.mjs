// A Vite plugin that builds the demo's service worker with a list of all built files.
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { join, relative, sep } from 'node:path'

/** A name that the service worker declares; the build replaces it with the list. */
const placeholder = 'builtFiles'
const fileName = 'service-worker.js'
/** Larger files are runtimes, which a user may never need. */
const largeBytes = 2 ** 19
/** The library stores the models and the WebAssembly of the runtimes itself. */
const excluded = /^models\/|\.wasm$/

/**
 * Adds `service-worker.js` to the build.
 * @param {string} source the path of the service worker's module
 * @returns {import('vite').Plugin}
 */
export function precacheDemo(source) {
  let publicFolder = ''
  return {
    name: 'rivulet-precache-demo',
    apply: 'build',
    enforce: 'post',
    configResolved({ publicDir }) {
      publicFolder = publicDir
    },
    buildStart() {
      // A service worker must be in the page's folder and must keep its name.
      this.emitFile({ type: 'chunk', id: source, fileName })
    },
    generateBundle: {
      // After the plugins that emit the pages and workers.
      order: 'post',
      handler(_, bundle) {
        const worker = bundle[fileName]
        if (worker?.type !== 'chunk') this.error(`${fileName} is missing in the build.`)
        const built = Object.values(bundle)
          .filter((file) => file !== worker && !excluded.test(file.fileName))
          .map((file) => describe(file.fileName, file.type === 'chunk' ? file.code : file.source))
        const copied = listFiles(publicFolder)
          .filter((path) => !excluded.test(path))
          .map((path) => describe(path, readFileSync(join(publicFolder, path))))
        const files = [...built, ...copied].toSorted((a, b) => (a.path < b.path ? -1 : 1))
        const version = hash(JSON.stringify([files, worker.code]))
        const list = {
          version,
          files: files.map(({ path, isHashed, isLarge }) => ({ path, isHashed, isLarge })),
        }
        if (!worker.code.includes(placeholder))
          this.error(`${fileName} does not contain the placeholder "${placeholder}".`)
        worker.code = worker.code.replace(placeholder, () => JSON.stringify(list))
      },
    },
  }
}

/**
 * @param {string} path
 * @param {string | Uint8Array} content
 */
function describe(path, content) {
  return {
    path,
    isHashed: path.startsWith('assets/'),
    isLarge: content.length > largeBytes,
    hash: hash(content),
  }
}

/** @param {string | Uint8Array} content */
function hash(content) {
  return createHash('sha256').update(content).digest('hex').slice(0, 16)
}

/** @param {string} folder */
function listFiles(folder) {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)).split(sep).join('/'))
}
