import type { DescribedError } from './describe-error.js'
import { describeForUser } from './error-words.js'

/** An error in the user's words. Its own message and its code are folded. */
export function FailureText({ code, message }: DescribedError) {
  return (
    <>
      <p>{describeForUser(code)}</p>
      <details
        class="failure-details"
        // It names the option that the user chose, such as a keyword of a schema.
        open={code === 'invalid-option'}
      >
        <summary>Details for developers</summary>
        <p>{message}</p>
        {code !== undefined && (
          <p>
            Error code: <code>{code}</code>
          </p>
        )}
      </details>
    </>
  )
}
