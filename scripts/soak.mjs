// npm run soak: repeats the tests of faults and load, and runs the tests with the tag @soak. Hours on two cores.
// With ../shared/zoo next to the repository, or RIVULET_ZOO, it also runs all models there.
// npm run soak -- load: only the files whose names start with this; `browsers`: the contract in Firefox and WebKit;
// `consumers`: the apps of all bundlers and guides; `bench`: each section of the benchmark once.
import { ensureInstalled, runNpm } from './bootstrap.mjs'
import { ensureBrowsers } from './browsers.mjs'
import { ensureChromium } from './chromium.mjs'
import { chooseLavapipe, ensureLavapipe } from './lavapipe.mjs'

/** How many times as often as in `npm test` a test repeats. Each test has its own maximum. */
process.env.RIVULET_SOAK ??= '34'
const all = [
  'contract',
  'dispose',
  'load',
  'recovery',
  'hostile',
  'store',
  'demo-lab',
  'real-servers',
  'structured',
  'lavapipe',
  'docs',
]
const files = process.argv.slice(2)

ensureInstalled()
ensureChromium()
ensureLavapipe()
ensureBrowsers()
runNpm('run', '--silent', 'build')
if (files.length === 0) {
  const projects = ['node', 'swiftshader', ...('unavailable' in chooseLavapipe() ? [] : ['lavapipe'])]
  for (const project of projects)
    runNpm(
      'run',
      '--silent',
      'test:unit',
      '--',
      '--project',
      project,
      ...(project === 'node' ? ['hostile', 'zoo', 'json-schemas', 'calls'] : []),
    )
}
const specs = (files.length > 0 ? files : all).filter(
  (name) => !['browsers', 'consumers', 'bench'].includes(name),
)
if (specs.length > 0) runNpm('run', '--silent', 'test:e2e', '--', ...specs)
if (files.length === 0 || files.includes('browsers')) runNpm('run', '--silent', 'test:browsers')
if (files.length === 0 || files.includes('consumers')) runNpm('run', '--silent', 'test:consumers')
if (files.length === 0 || files.includes('bench'))
  runNpm('run', '--silent', 'bench', '--', '--rounds', '1', '--contexts', '64')
