/**
 * Draws the held-out metrics of a run against the gradient bytes that were spent: `node scripts/curve.mjs <run> <file.svg>`.
 * Made of the journal alone.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { nodeCrypto, verifyJournal } from '../dist/index.js';

const [run, file] = process.argv.slice(2);
const { records } = verifyJournal(new Uint8Array(readFileSync(`${run}/journal.murmur`)), nodeCrypto);
const bytesAt = [0];
for (const { entry } of records)
  if (entry.type === 'round')
    bytesAt.push(bytesAt.at(-1) + entry.round.segments.reduce((sum, { codes }) => sum + codes.byteLength, 0));
const points = records.flatMap(({ entry }) =>
  entry.type === 'evaluation' ? [{ x: bytesAt[entry.round], ...entry.metrics }] : [],
);

const [W, H, L, R, T, B] = [720, 300, 56, 56, 34, 44];
const x = (bytes) => L + (bytes / bytesAt.at(-1)) * (W - L - R);
const series = [
  { key: 'eval/loss', name: 'held-out loss', colour: '#2563eb', side: 'start' },
  { key: 'eval/accuracy', name: 'held-out accuracy', colour: '#15803d', side: 'end' },
].filter(({ key }) => points.some((point) => key in point));
const parts = series.map(({ key, name, colour, side }, i) => {
  const values = points.map((point) => point[key]);
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const y = (value) => T + ((high - value) / (high - low)) * (H - T - B);
  const line = points.map((point) => `${x(point.x).toFixed(1)},${y(point[key]).toFixed(1)}`).join(' ');
  const dots = points.map(
    (p) => `<circle cx="${x(p.x).toFixed(1)}" cy="${y(p[key]).toFixed(1)}" r="3" fill="${colour}"/>`,
  );
  const at = side === 'start' ? L - 8 : W - R + 8;
  const anchor = side === 'start' ? 'end' : 'start';
  const label = (value) =>
    `<text x="${at}" y="${(y(value) + 4).toFixed(1)}" text-anchor="${anchor}" fill="${colour}">${value.toFixed(2)}</text>`;
  const title = `<text x="${side === 'start' ? L : W - R}" y="20" text-anchor="${side}" fill="${colour}">${name}</text>`;
  return `<g id="s${i}"><polyline points="${line}" fill="none" stroke="${colour}" stroke-width="2"/>${dots.join('')}${label(high)}${label(low)}${title}</g>`;
});
const total = bytesAt.at(-1);
const ticks = [0, 0.25, 0.5, 0.75, 1].map((part) => {
  const bytes = Math.round(part * total);
  return `<line x1="${x(bytes)}" x2="${x(bytes)}" y1="${T}" y2="${H - B}" stroke="#9ca3af" stroke-opacity=".25"/><text x="${x(bytes)}" y="${H - B + 18}" text-anchor="middle">${bytes.toLocaleString('en')}</text>`;
});
writeFileSync(
  file,
  `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${W} ${H}" font-family="ui-sans-serif,system-ui,sans-serif" font-size="12" fill="#6b7280"><title>Held-out metrics against bytes of gradients</title><rect width="${W}" height="${H}" rx="8" fill="#ffffff"/>${ticks.join('')}${parts.join('')}<text x="${W / 2}" y="${H - 8}" text-anchor="middle">bytes of gradients, all peers together</text></svg>\n`,
);
