export default {
  entry: './src/main.js',
  performance: { hints: false },
}
