/**
 * Evaluates a condition until it is true. It does not depend on the page's timers or frames, which a hidden tab slows down or
 * stops, and an evaluation that a navigation interrupts is repeated.
 */
export async function waitForFunction(evaluate: () => Promise<unknown>): Promise<void> {
  while (!(await evaluate().catch(() => false))) await new Promise((resolve) => setTimeout(resolve, 50))
}
