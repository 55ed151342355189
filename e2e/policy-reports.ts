import type { Page } from '@playwright/test'

/** A part of the browser's violation report (https://www.w3.org/TR/CSP3/#deprecated-serialize-violation). */
interface Violation {
  /** The page or the worker's script. */
  readonly 'document-uri': string
  readonly 'effective-directive': string
  readonly 'blocked-uri': string
}

/** Collects the browser's reports. A page's `securitypolicyviolation` events do not include its workers. */
export interface PolicyReports {
  /** The directive to add to a policy. */
  readonly directive: string
  /**
   * Reads all violations so far, by the page and by all workers. Reports arrive late, so the page and each of rivulet's
   * workers violate the policy once more here, and their reports are awaited. A thread without a report fails the test.
   */
  readViolations(): Promise<readonly Violation[]>
}

export async function collectReports(page: Page): Promise<PolicyReports> {
  const violations: Violation[] = []
  let notifyReader = () => {}
  await page.route('**/policy-report', async (route) => {
    const { 'csp-report': violation } = route.request().postDataJSON() as { readonly 'csp-report': Violation }
    violations.push(violation)
    await route.fulfill({ status: 204 })
    notifyReader()
  })

  async function breakPolicy(thread: Pick<Page, 'evaluate'>, sentinelUrl: string): Promise<void> {
    const isReported = () => violations.some((violation) => violation['blocked-uri'].startsWith(sentinelUrl))
    try {
      await thread.evaluate((url) => fetch(url).catch(() => {}), sentinelUrl)
    } catch (error) {
      // A worker whose load has failed may be terminated at this moment.
      if (thread !== page && !page.workers().some((worker) => worker === thread)) return
      throw error
    }
    while (!isReported()) await new Promise<void>((resolve) => (notifyReader = resolve))
  }

  return {
    directive: 'report-uri /policy-report',
    async readViolations() {
      // A runtime's own workers block while they are idle.
      const threads = [page, ...page.workers().filter((worker) => /\.worker\b/.test(worker.url()))]
      for (const [index, thread] of threads.entries())
        await breakPolicy(thread, createSentinelUrl(`${index}.invalid`))
      return violations.filter((violation) => !violation['blocked-uri'].startsWith(createSentinelUrl('')))
    },
  }
}

/** A URL that no policy here allows, on a host that does not exist. */
const createSentinelUrl = (rest: string) => `http://sentinel-${rest}`
