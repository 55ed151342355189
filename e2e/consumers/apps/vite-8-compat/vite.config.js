export default {
  // The development server's optimizer does not find files of other packages for `new URL(…, import.meta.url)`.
  optimizeDeps: { exclude: ['rivulet'] },
}
