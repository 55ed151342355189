/**
 * Replaces the children of `parent` after `settled` (null: all children) with `nodes`. Existing nodes of the same kind are
 * updated in place, so that a selection and the focus in them survive.
 * @returns the last of the new children, or `settled` if `nodes` is empty
 */
export function patchNodes(
  parent: ParentNode & Node,
  settled: ChildNode | null,
  nodes: readonly ChildNode[],
): ChildNode | null {
  const last = patchFirstNodes(parent, settled, nodes)
  for (let surplus = nextOf(parent, last); surplus !== null; surplus = nextOf(parent, last)) surplus.remove()
  return last
}

/** Like `patchNodes`, but keeps surplus old children after the new ones, for the next patch. */
export function patchFirstNodes(
  parent: ParentNode & Node,
  settled: ChildNode | null,
  nodes: readonly ChildNode[],
): ChildNode | null {
  let last = settled
  for (const node of nodes) {
    const old: ChildNode | null = last === null ? parent.firstChild : last.nextSibling
    if (old === null) {
      parent.append(node)
      last = node
    } else if (old.nodeName === node.nodeName) {
      patchNode(old, node)
      last = old
    } else {
      old.replaceWith(node)
      last = node
    }
  }
  return last
}

const nextOf = (parent: Node, child: ChildNode | null) =>
  child === null ? parent.firstChild : child.nextSibling

function patchNode(old: ChildNode, node: ChildNode): void {
  if (old instanceof Text && node instanceof Text) patchText(old, node.data)
  else if (old instanceof Element && node instanceof Element) {
    patchAttributes(old, node)
    patchNodes(old, null, [...node.childNodes])
  }
}

/** Changes only the part that differs: replacing the whole text would collapse a selection in it. */
function patchText(old: Text, data: string): void {
  if (data.startsWith(old.data)) {
    if (data.length > old.length) old.appendData(data.slice(old.length))
    return
  }
  let same = 0
  while (same < data.length && data[same] === old.data[same]) same += 1
  old.replaceData(same, old.length - same, data.slice(same))
}

function patchAttributes(old: Element, node: Element): void {
  for (const name of old.getAttributeNames()) if (!node.hasAttribute(name)) old.removeAttribute(name)
  for (const { name, value } of node.attributes) {
    if (old.getAttribute(name) !== value) old.setAttribute(name, value)
  }
}
