// The demo's service worker, built with the list of all files that the build has made.
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { join, relative, sep } from 'node:path'

/** A name that the service worker declares and the build replaces. */
const placeholder = 'builtFiles'
const fileName = 'service-worker.js'
/** Of the files that a visitor may never need: the runtimes. */
const largeBytes = 2 ** 20
/** Models are kept by the library. */
const unkept = /^models\//

/**
 * Adds `service-worker.js` to the build.
 * @param {string} source the service worker's module
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
      // In the page's folder and under a name that never changes, as service workers have to be.
      this.emitFile({ type: 'chunk', id: source, fileName })
    },
    generateBundle: {
      // Behind the plugins that make the pages and the workers.
      order: 'post',
      handler(_, bundle) {
        const worker = bundle[fileName]
        if (worker?.type !== 'chunk') this.error(`${fileName} is missing from the build.`)
        const built = Object.values(bundle)
          .filter((file) => file !== worker)
          .map((file) => describe(file.fileName, file.type === 'chunk' ? file.code : file.source))
        const copied = listFiles(publicFolder)
          .filter((path) => !unkept.test(path))
          .map((path) => describe(path, readFileSync(join(publicFolder, path))))
        const files = [...built, ...copied].toSorted((a, b) => (a.path < b.path ? -1 : 1))
        const version = hash(JSON.stringify([files, worker.code]))
        const list = {
          version,
          files: files.map(({ path, isHashed, isLarge }) => ({ path, isHashed, isLarge })),
        }
        if (!worker.code.includes(placeholder)) this.error(`${fileName} has no place for the list of files.`)
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
