import { ggufPattern, listGgufParts } from './gguf-name.js'

/** A model's location, as it is sent to the worker. */
export type ModelLocation =
  | {
      readonly kind: 'folder'
      /** The folder's URL, with a trailing slash and without a query. */
      readonly url: string
      /**
       * The query of the source's URL, such as a signature, with its question mark. It is sent with the request for each
       * file. It is not part of the model's identity: a signature changes, the file does not.
       */
      readonly query?: string
      /** The name of the GGUF file in the folder; undefined if the source names no file. */
      readonly file?: string | undefined
      /** The URL of a list of the folder's files; undefined if the source names none. */
      readonly listingUrl?: string
    }
  | {
      readonly kind: 'hub'
      /** The folder's URL, with a trailing slash. */
      readonly url: string
      /** The model as the app wrote it: `owner/name`. */
      readonly name: string
      readonly file?: string | undefined
      /** The URL at which the hub lists the folder's files, with their sizes and hashes. */
      readonly listingUrl: string
      /** True if the revision is a commit, whose files never change. */
      readonly isCommit: boolean
    }
  /** There is no location here: the backend's own options name the model. */
  | { readonly kind: 'none' }
  | {
      readonly kind: 'local'
      readonly name: string
      /** The files by their path in the folder, or by their name if they have no path. */
      readonly files: ReadonlyMap<string, File>
    }

/** The location of a model that is downloaded from a URL or a hub. */
export type RemoteLocation = Extract<ModelLocation, { kind: 'folder' | 'hub' }>

/**
 * Returns the URL that identifies the model of a file. A GGUF file is a model of its own, and the parts of a split one are
 * one model. Any other file belongs to the model of its folder.
 * @param path the file's path in the folder; undefined for the folder's own model
 */
export function nameModelUrl(
  { url, file }: Pick<RemoteLocation, 'url' | 'file'>,
  path: string | undefined = file,
): string {
  if (path === undefined || (path !== file && !ggufPattern.test(path))) return url
  return url + listGgufParts(path)[0]!
}

/** Returns the address of a model for records of it: its URL, or the name of its local folder. */
export function nameLocation(location: Exclude<ModelLocation, { kind: 'none' }>): string {
  return location.kind === 'local' ? location.name : nameModelUrl(location)
}
