import type { Page } from '@playwright/test'

/** What of the browser's report of a violation matters here (https://www.w3.org/TR/CSP3/#deprecated-serialize-violation). */
interface Violation {
  /** The page, or the worker's script. */
  readonly 'document-uri': string
  readonly 'effective-directive': string
  readonly 'blocked-uri': string
}

/** The browser's own reports: a page's events do not tell what its workers do. */
export interface PolicyReports {
  /** To end a policy with. */
  readonly directive: string
  /**
   * What has been violated so far, by the page and by all workers. Reports come when they come: the page and rivulet's
   * workers break the policy once more here, and are waited for. So a thread that does not report fails the test.
   */
  readViolations(): Promise<readonly Violation[]>
}

export async function collectReports(page: Page): Promise<PolicyReports> {
  const violations: Violation[] = []
  let notice = () => {}
  await page.route('**/policy-report', async (route) => {
    const { 'csp-report': violation } = route.request().postDataJSON() as { readonly 'csp-report': Violation }
    violations.push(violation)
    await route.fulfill({ status: 204 })
    notice()
  })

  async function breakPolicy(thread: Pick<Page, 'evaluate'>, fence: string): Promise<void> {
    const isReported = () => violations.some((violation) => violation['blocked-uri'].startsWith(fence))
    try {
      await thread.evaluate((url) => fetch(url).catch(() => {}), fence)
    } catch (error) {
      // A worker whose load has failed is ended about now.
      if (thread !== page && !page.workers().some((worker) => worker === thread)) return
      throw error
    }
    while (!isReported()) await new Promise<void>((resolve) => (notice = resolve))
  }

  return {
    directive: 'report-uri /policy-report',
    async readViolations() {
      // A runtime's own workers block while they have nothing to compute.
      const threads = [page, ...page.workers().filter((worker) => /\.worker\b/.test(worker.url()))]
      for (const [index, thread] of threads.entries())
        await breakPolicy(thread, nameFence(`${index}.invalid`))
      return violations.filter((violation) => !violation['blocked-uri'].startsWith(nameFence('')))
    },
  }
}

/** An address that no policy here allows, and that nobody has. */
const nameFence = (rest: string) => `http://fence-${rest}`
