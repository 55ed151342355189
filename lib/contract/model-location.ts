/** A model's location, as it is sent to the worker. */
export type ModelLocation =
  | {
      readonly kind: 'folder'
      readonly url: string
      /** The name of the GGUF file in the folder, with the URL's query; undefined if the source names no file. */
      readonly file?: string | undefined
    }
  | {
      readonly kind: 'hub'
      /** The folder's URL, with a trailing slash. */
      readonly url: string
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
