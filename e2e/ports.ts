/** Two checkouts on one machine can run their tests at once with different ports: `RIVULET_TEST_PORT=4301 npm test`. */
const port = Number(process.env.RIVULET_TEST_PORT ?? 4281)

export const demoPort = port
export const pagePort = port + 1
export const demoUrl = `http://localhost:${demoPort}/`
/** The bare page, which exposes the library as `window.rivulet`. */
export const barePageUrl = `http://localhost:${pagePort}/`
