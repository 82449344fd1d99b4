/**
 * Lines with error bars as an SVG that looks the same in a README, light or dark.
 *
 * @module
 */
import { scaleLinear, scaleLog } from 'd3-scale';
import { formatNumber } from './format.ts';

export interface PlotPoint {
  readonly x: number;
  /** Middle, and how far the bar goes up and down. */
  readonly y: number;
  readonly error: number;
}

export interface Series {
  readonly name: string;
  readonly points: readonly PlotPoint[];
}

export interface Plot {
  readonly title: string;
  readonly x: string;
  readonly y: string;
  readonly series: readonly Series[];
  /** x by its logarithm; all must be above 0. */
  readonly logarithmic?: boolean;
}

const [WIDTH, HEIGHT] = [760, 380];
const MARGIN = { left: 64, right: 190, top: 40, bottom: 48 };
/** Okabe and Ito's colours, which the colour-blind can tell apart; dashes when they run out. */
const COLOURS = ['#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9', '#000000'];
const DASHES = ['', '6 3', '2 3', '8 3 2 3'];
const TICKS = 5;

const escaped = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');

const extent = (values: readonly number[]): [number, number] => {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  return low === high ? [low - 0.5, high + 0.5] : [low, high];
};

/** @returns the text of an SVG file. Points that are not numbers are left out. */
export function svgOf({ title, x, y, series, logarithmic = false }: Plot): string {
  const drawn = series.map((one) => ({
    ...one,
    points: one.points.filter((p) => Number.isFinite(p.x) && Number.isFinite(p.y) && (!logarithmic || p.x > 0)),
  }));
  const points = drawn.flatMap((one) => one.points);
  if (points.length === 0) throw new RangeError('"series" expected a point at least, got none');
  const [left, right] = [MARGIN.left, WIDTH - MARGIN.right];
  const [top, bottom] = [MARGIN.top, HEIGHT - MARGIN.bottom];
  const across = (logarithmic ? scaleLog() : scaleLinear()).domain(extent(points.map((p) => p.x))).range([left, right]);
  const up = scaleLinear()
    .domain(extent(points.flatMap((p) => [p.y - p.error, p.y + p.error])))
    .nice(TICKS)
    .range([bottom, top]);
  const at = (value: number): string => value.toFixed(1);

  const grid = up.ticks(TICKS).map((value) => {
    const line = `<line x1="${left}" x2="${right}" y1="${at(up(value))}" y2="${at(up(value))}" stroke="#9ca3af" stroke-opacity=".3"/>`;
    return `${line}<text x="${left - 8}" y="${at(up(value) + 4)}" text-anchor="end">${formatNumber(value)}</text>`;
  });
  const ticks = across.ticks(TICKS).map((value) => {
    const label = value.toLocaleString('en', { maximumSignificantDigits: 3 });
    return `<text x="${at(across(value))}" y="${bottom + 18}" text-anchor="middle">${label}</text>`;
  });
  const lines = drawn.map(({ name, points: own }, i) => {
    const colour = COLOURS[i % COLOURS.length]!;
    const dash = DASHES[Math.floor(i / COLOURS.length) % DASHES.length];
    const style = `stroke="${colour}"${dash ? ` stroke-dasharray="${dash}"` : ''}`;
    const path = own.map((p) => `${at(across(p.x))},${at(up(p.y))}`).join(' ');
    const bars = own.map(({ x: px, y: py, error }) => {
      const [middle, high, low] = [at(across(px)), at(up(py + error)), at(up(py - error))];
      const bar = error > 0 ? `<line x1="${middle}" x2="${middle}" y1="${high}" y2="${low}" ${style}/>` : '';
      return `${bar}<circle cx="${middle}" cy="${at(up(py))}" r="2.5" fill="${colour}"/>`;
    });
    const row = top + 18 * i;
    const key = `<line x1="${right + 12}" x2="${right + 36}" y1="${row}" y2="${row}" stroke-width="2" ${style}/><text x="${right + 42}" y="${row + 4}">${escaped(name)}</text>`;
    return `<g><polyline points="${path}" fill="none" stroke-width="2" ${style}/>${bars.join('')}${key}</g>`;
  });
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="ui-sans-serif,system-ui,sans-serif" font-size="12" fill="#4b5563">`,
    `<title>${escaped(title)}</title><rect width="${WIDTH}" height="${HEIGHT}" rx="8" fill="#ffffff"/>`,
    `<text x="${left}" y="20" font-size="14" fill="#111827">${escaped(title)}</text>`,
    ...grid,
    ...ticks,
    ...lines,
    `<text x="${(left + right) / 2}" y="${HEIGHT - 10}" text-anchor="middle">${escaped(x)}</text>`,
    `<text transform="translate(16 ${(top + bottom) / 2}) rotate(-90)" text-anchor="middle">${escaped(y)}</text>`,
    '</svg>\n',
  ].join('\n');
}
