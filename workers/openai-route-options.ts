import { refuse, refuseUnknown } from '../lib/contract/check-options.js'

/** Options of `openaiRoute`. */
export interface OpenaiRouteOptions {
  /** The path whose requests are answered. The route ignores all other requests. @default '/v1/' */
  readonly scope?: string | undefined
}

/** Checks the options and returns the scope. @throws RivuletError `invalid-option` */
export function readRouteScope(options: OpenaiRouteOptions): string {
  refuseUnknown('openaiRoute()', options, ['scope'] satisfies (keyof OpenaiRouteOptions)[])
  const { scope = '/v1/' } = options
  if (typeof scope === 'string' && /^\/(.*\/)?$/.test(scope)) return scope
  refuse('"scope" must be a path that starts and ends with a slash.', 'scope')
}
