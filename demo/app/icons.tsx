import type { JSX } from 'preact'

/** Stroke icons on a 24×24 grid, in the text colour. */
const icons = {
  add: <path d="M12 5v14M5 12h14" />,
  settings: (
    <>
      <path d="M4 8h9M19 8h1M4 16h1M11 16h9" />
      <circle cx="16" cy="8" r="2.5" />
      <circle cx="8" cy="16" r="2.5" />
    </>
  ),
  theme: (
    <>
      <circle cx="12" cy="12" r="8" />
      <path class="filled" d="M12 4a8 8 0 0 1 0 16z" />
    </>
  ),
  close: <path d="M6 6l12 12M18 6L6 18" />,
  list: <path d="M4 7h16M4 12h16M4 17h10" />,
  model: <path d="M12 3.5l7.5 4.25v8.5L12 20.5l-7.5-4.25v-8.5zM4.5 7.75L12 12l7.5-4.25M12 12v8.5" />,
  lab: <path d="M9 4h6M10 4v6l-5 9.5h14L14 10V4M7.5 15h9" />,
  copy: <path d="M9 9h10v11H9zM15 9V4H5v11h4" />,
  check: <path d="M5 12.5l4.5 4.5L19 7.5" />,
  edit: <path d="M5 19h3.5L19 8.5 15.5 5 5 15.5zM13 7.5l3.5 3.5" />,
  regenerate: <path d="M19 12a7 7 0 1 1-2.5-5.4M19 4v4.5h-4.5" />,
  continue: <path d="M5 5v14l8-7zM14 5v14l6-7z" />,
  previous: <path d="M14.5 6l-6 6 6 6" />,
  next: <path d="M9.5 6l6 6-6 6" />,
  tool: (
    <path d="M14.5 6.5a4 4 0 0 1 5-1l-2.7 2.7 1 1 2.7-2.7a4 4 0 0 1-5.3 5L8.7 18a2 2 0 0 1-2.8-2.8l6.4-6.5a4 4 0 0 1 2.2-2.2z" />
  ),
  delete: <path d="M5 7h14M10 7V4.5h4V7M7 7l1 12.5h8L17 7" />,
} satisfies Record<string, JSX.Element>

export function Icon({ name }: { readonly name: keyof typeof icons }) {
  return (
    <svg class="icon" viewBox="0 0 24 24" aria-hidden="true">
      {icons[name]}
    </svg>
  )
}

export function Mark() {
  return (
    <svg class="mark" viewBox="0 0 32 32" aria-hidden="true">
      <path d="M3 9q6.5-5 13 0t13 0" />
      <path d="M3 16.5q6.5-5 13 0t13 0" />
      <path d="M3 24q6.5-5 13 0" />
    </svg>
  )
}
