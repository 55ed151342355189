/** What the build made, as `scripts/precache-demo.mjs` writes it. */
export interface BuiltFiles {
  /** Another for each build that differs. */
  readonly version: string
  readonly files: readonly BuiltFile[]
}

interface BuiltFile {
  /** Relative to the service worker. */
  readonly path: string
  /** Its name changes with its content. */
  readonly isHashed: boolean
  /** Runtimes of several megabytes: kept when they are used. */
  readonly isLarge: boolean
}

/** A request, and what keeps the service worker awake for work behind its answer. */
interface Asked {
  readonly request: Request
  readonly waitUntil: (work: Promise<void>) => void
}

/** A slow network is not waited for longer, where there is a page to show. */
const networkTimeoutMs = 4000

/** Keeps the files of one build, in a cache of their own for each place that the page is served from. */
export function createPageCache({ version, files }: BuiltFiles, scope: string) {
  const family = `rivulet-demo ${scope} `
  const name = family + version
  const known = new Map(files.map((file) => [new URL(file.path, scope).href, file]))
  const open = () => caches.open(name)

  async function keep(url: string, { isHashed }: BuiltFile): Promise<void> {
    // Another build had the same file.
    const kept = isHashed ? await caches.match(url, { ignoreVary: true }) : undefined
    const response = kept ?? (await fetch(url, { cache: isHashed ? 'default' : 'reload' }))
    if (!response.ok) throw new Error(`${url} was answered with status ${response.status}.`)
    await (await open()).put(url, response)
  }

  async function find(url: string): Promise<Response | undefined> {
    // Servers let their answers vary with headers that a page and its service worker send differently.
    return (await open()).match(url, { ignoreVary: true })
  }

  async function takeHashed({ request, waitUntil }: Asked, url: string): Promise<Response> {
    const kept = await find(url)
    if (kept) return kept
    const response = await fetch(request)
    if (response.status === 200) waitUntil(put(url, response.clone()))
    return response
  }

  async function put(url: string, response: Response): Promise<void> {
    const cache = await open()
    // Where there is no room for it, it is fetched again next time.
    await cache.put(url, response).catch(() => {})
  }

  async function takeNewest({ request }: Asked, url: string): Promise<Response> {
    const fetching = fetch(request)
    const kept = await find(url)
    if (!kept) return fetching
    const timeout = new Promise<Response>((resolve) => {
      setTimeout(() => resolve(kept), networkTimeoutMs)
    })
    return Promise.race([fetching.catch(() => kept), timeout])
  }

  return {
    /** Fetches all but the runtimes; of these it takes over what an earlier build kept. */
    async install(): Promise<void> {
      await Promise.all(
        [...known].map(async ([url, file]) => {
          if (!file.isLarge || (await caches.match(url, { ignoreVary: true }))) await keep(url, file)
        }),
      )
    },
    /** Removes the files of earlier builds. */
    async removeOld(): Promise<void> {
      const old = (await caches.keys()).filter((each) => each.startsWith(family) && each !== name)
      await Promise.all(old.map((each) => caches.delete(each)))
    },
    /** Keeps a runtime that the page has in use. */
    async keepRuntime(url: string): Promise<void> {
      const file = known.get(url)
      if (file && !(await find(url))) await keep(url, file)
    },
    /** @returns undefined for what the build has not made: models, servers, other pages */
    answer(asked: Asked): Promise<Response> | undefined {
      const { request } = asked
      const url = new URL(request.url)
      url.search = ''
      url.hash = ''
      if (url.pathname.endsWith('/')) url.pathname += 'index.html'
      const file = known.get(url.href)
      if (!file || request.method !== 'GET' || request.headers.has('range')) return undefined
      return file.isHashed ? takeHashed(asked, url.href) : takeNewest(asked, url.href)
    },
  }
}
