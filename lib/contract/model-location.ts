/** A model's location, as it is sent to the worker. */
export type ModelLocation =
  | {
      readonly kind: 'folder'
      readonly url: string
      /** The GGUF file in the folder, if the source names one, with the URL's query. */
      readonly file?: string | undefined
    }
  | {
      readonly kind: 'hub'
      /** The folder's URL, with a trailing slash. */
      readonly url: string
      readonly file?: string | undefined
      /** The URL of the hub's list of the folder's files, with their sizes and hashes. */
      readonly listingUrl: string
      /** The revision is a commit, whose files never change. */
      readonly isCommit: boolean
    }
  /** The backend's own options name the model. */
  | { readonly kind: 'none' }
  | {
      readonly kind: 'local'
      readonly name: string
      /** By path in the folder, or by name for files without a path. */
      readonly files: ReadonlyMap<string, File>
    }

/** A model's location at a URL. */
export type RemoteLocation = Extract<ModelLocation, { kind: 'folder' | 'hub' }>
