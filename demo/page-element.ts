/**
 * The element of index.html with this id.
 * @throws when it is missing or of another kind: the page and its script then belong to different versions
 */
export function pageElement<T extends Element>(id: string, kind: abstract new () => T): T {
  const element = document.getElementById(id)
  if (!(element instanceof kind)) throw new Error(`index.html has no ${kind.name} #${id}.`)
  return element
}
