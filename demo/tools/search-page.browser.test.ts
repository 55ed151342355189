import { expect, it } from 'vitest'
import { searchPage } from './search-page.js'

function createPage(): HTMLElement {
  const page = document.createElement('div')
  page.innerHTML = `
    <ol>
      <li class="turn"><div class="turn-text">Where is Bern?</div></li>
      <li class="turn"><div class="turn-text"><p>Bern is in Switzerland.</p><p>It has a river, the Aare.</p></div></li>
      <li class="turn"><div class="turn-text">Which river did you name?</div></li>
      <li class="turn"><div class="turn-text"></div></li>
    </ol>
    <aside class="figures"><dl class="readouts"><div class="readout"><dt><span>Decode speed</span><span>A sentence.</span></dt><dd>45 tok/s</dd></div></dl></aside>`
  return page
}

it('finds the passages with most of the words, but not in the question that is being answered', () => {
  expect(searchPage('river Aare', createPage())).toEqual(['It has a river, the Aare.'])
  expect(searchPage('where Bern', createPage())).toEqual(['Where is Bern?', 'Bern is in Switzerland.'])
})

it('finds a figure with its name', () => {
  expect(searchPage('SPEED', createPage())).toEqual(['Decode speed A sentence. 45 tok/s'])
})

it('finds nothing for other words, and refuses a query without words', () => {
  expect(searchPage('Paris', createPage())).toEqual([])
  expect(() => searchPage('…', createPage())).toThrow('no words')
})
