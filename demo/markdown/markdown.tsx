/** A growing text, as it is: whatever the model writes is text here, never markup. */
export function Markdown({ text }: { readonly text: string; readonly isDone: boolean }) {
  return <p class="plain-text">{text}</p>
}
