import { RivuletError } from './errors.js'

/** Options of `openaiRoute`. */
export interface OpenaiRouteOptions {
  /** The path below which requests are answered; all others go on as they would. @default '/v1/' */
  readonly scope?: string | undefined
}

/** @throws RivuletError `invalid-option` */
export function readRouteScope({ scope = '/v1/', ...unknown }: OpenaiRouteOptions): string {
  const [name] = Object.keys(unknown)
  if (name !== undefined) {
    throw new RivuletError('invalid-option', `openaiRoute() has no option "${name}"; it has: scope.`)
  }
  if (typeof scope === 'string' && /^\/(.*\/)?$/.test(scope)) return scope
  throw new RivuletError('invalid-option', '"scope" must be a path that begins and ends with a slash.')
}
