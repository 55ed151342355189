/** The files of a build, as written by `scripts/precache-demo.mjs`. */
export interface BuiltFiles {
  /** Changes with every build whose files differ. */
  readonly version: string
  readonly files: readonly BuiltFile[]
}

interface BuiltFile {
  /** Relative to the service worker. */
  readonly path: string
  /** Whether the file name contains a content hash. */
  readonly isHashed: boolean
  /** A script of several megabytes, which is WebLLM: cached only when it is used. */
  readonly isLarge: boolean
}

/** The parts of a fetch event that the cache needs. */
interface FetchRequest {
  readonly request: Request
  /** Keeps the service worker alive until the work is done. */
  readonly waitUntil: (work: Promise<void>) => void
}

/** After this time on a slow network, the cached page is used. */
const networkTimeoutMs = 4000

/** Caches the files of one build. Each scope that the page is served from has its own cache. */
export function createPageCache({ version, files }: BuiltFiles, scope: string) {
  const family = `rivulet-demo ${scope} `
  const name = family + version
  const known = new Map(files.map((file) => [new URL(file.path, scope).href, file]))
  const open = () => caches.open(name)

  async function add(url: string, { isHashed }: BuiltFile): Promise<void> {
    // An earlier build may have cached the same file.
    const cached = isHashed ? await caches.match(url, { ignoreVary: true }) : undefined
    const response = cached ?? (await fetch(url, { cache: isHashed ? 'default' : 'reload' }))
    if (!response.ok) throw new Error(`Fetching ${url} failed with status ${response.status}.`)
    await (await open()).put(url, response)
  }

  async function find(url: string): Promise<Response | undefined> {
    // The page and the service worker send different headers, which a server may name in `Vary`.
    return (await open()).match(url, { ignoreVary: true })
  }

  async function readCacheFirst({ request, waitUntil }: FetchRequest, url: string): Promise<Response> {
    const cached = await find(url)
    if (cached) return cached
    const response = await fetch(request)
    if (response.status === 200) waitUntil(put(url, response.clone()))
    return response
  }

  async function put(url: string, response: Response): Promise<void> {
    const cache = await open()
    // If the storage is full, the file is fetched again next time.
    await cache.put(url, response).catch(() => {})
  }

  async function readNetworkFirst({ request }: FetchRequest, url: string): Promise<Response> {
    const fetching = fetch(request)
    const cached = await find(url)
    if (!cached) return fetching
    const timeout = new Promise<Response>((resolve) => {
      setTimeout(() => resolve(cached), networkTimeoutMs)
    })
    return Promise.race([fetching.catch(() => cached), timeout])
  }

  return {
    /** Caches all files except the large ones, and takes over the large ones that an earlier build cached. */
    async install(): Promise<void> {
      await Promise.all(
        [...known].map(async ([url, file]) => {
          if (!file.isLarge || (await caches.match(url, { ignoreVary: true }))) await add(url, file)
        }),
      )
    },
    /** Removes the files of earlier builds. */
    async removeOld(): Promise<void> {
      const old = (await caches.keys()).filter((each) => each.startsWith(family) && each !== name)
      await Promise.all(old.map((each) => caches.delete(each)))
    },
    /** @returns undefined if the requested file is not part of the build: models, servers, other pages */
    respond(fetchRequest: FetchRequest): Promise<Response> | undefined {
      const { request } = fetchRequest
      const url = new URL(request.url)
      url.search = ''
      url.hash = ''
      if (url.pathname.endsWith('/')) url.pathname += 'index.html'
      const file = known.get(url.href)
      if (!file || request.method !== 'GET' || request.headers.has('range')) return undefined
      // Browsers keep compiled WebAssembly only for what their HTTP cache answers.
      if (request.cache === 'only-if-cached') return undefined
      return file.isHashed ? readCacheFirst(fetchRequest, url.href) : readNetworkFirst(fetchRequest, url.href)
    },
  }
}
