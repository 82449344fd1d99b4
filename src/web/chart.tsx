/**
 * A curve over rounds: uPlot on a canvas, with the colours of the page, as wide as its place, and said in words for those
 * who do not see it.
 *
 * @module
 */
import { useSignal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import uPlot from 'uplot';
import { formatNumber } from '../figures.ts';
import { logTicks } from './axis.ts';
import { extent, positive } from './series.ts';

export interface Curve {
  readonly label: string;
  /** A CSS variable of the page. */
  readonly colour: string;
  /** A value for each x; null is a gap. */
  readonly values: readonly (number | null)[];
  /** Drawn thin and pale: what a smoothed curve was made of. */
  readonly faint?: boolean;
  readonly dots?: boolean;
  readonly dashed?: boolean;
}

interface ChartProps {
  readonly title: string;
  readonly x: readonly number[];
  readonly curves: readonly Curve[];
  readonly log?: boolean;
  readonly height?: number;
  /** How a value is written. */
  readonly format?: (value: number) => string;
  /** Where the last round will be. */
  readonly until?: number;
}

const HEIGHT = 220;
const FONT = '12px ui-sans-serif, system-ui, sans-serif';

const variable = (name: string): string => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** `loss from 0.68 to 0.1 over rounds 0 to 60`. */
export function said(x: readonly number[], curves: readonly Curve[], format: (value: number) => string): string {
  const parts = curves
    .filter(({ faint }) => !faint)
    .map(({ label, values }) => {
      const there = values.filter((value) => value !== null);
      if (there.length === 0) return `${label}: nothing yet`;
      return `${label} from ${format(there[0]!)} to ${format(there.at(-1)!)}`;
    });
  return x.length === 0 ? 'nothing yet' : `${parts.join('; ')}; rounds ${x[0]} to ${x.at(-1)}`;
}

export function Chart({ title, x, curves, log = false, height = HEIGHT, format = formatNumber, until }: ChartProps) {
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot>(undefined);
  /** The point under the pointer; none: the last. */
  const at = useSignal<number | null | undefined>(undefined);
  const data = [x, ...curves.map(({ values }) => (log ? positive(values) : values))] as uPlot.AlignedData;
  // What the options are made of: uPlot is made anew when it changes, and gets new numbers otherwise.
  const shape = JSON.stringify([log, height, until, curves.map(({ values: _, ...rest }) => rest)]);

  useEffect(() => {
    const make = (): void => {
      plot.current?.destroy();
      const width = place.current!.clientWidth;
      const options = optionsOf({ curves, log, height, format, until }, width);
      const setCursor = (u: uPlot): void => {
        at.value = u.cursor.idx;
      };
      plot.current = new uPlot({ ...options, hooks: { setCursor: [setCursor] } }, data, place.current!);
    };
    make();
    const scheme = matchMedia('(prefers-color-scheme: dark)');
    scheme.addEventListener('change', make);
    const sized = new ResizeObserver(([entry]) => {
      const width = Math.floor(entry!.contentRect.width);
      if (width > 0 && width !== plot.current?.width) plot.current?.setSize({ width, height });
    });
    sized.observe(place.current!);
    return () => {
      scheme.removeEventListener('change', make);
      sized.disconnect();
      plot.current?.destroy();
      plot.current = undefined;
    };
  }, [shape]);

  useEffect(() => plot.current?.setData(data), [x, curves, log]);

  const index = at.value ?? x.length - 1;
  return (
    <>
      <div class="chart" ref={place} role="img" aria-label={`${title}: ${said(x, curves, format)}`} />
      <p class="legend" aria-hidden="true">
        {x.length > 0 && <span>round {x[index]}</span>}
        {curves.map(({ label, colour, faint, dashed, values }) => (
          <span key={label} data-faint={faint} data-dashed={dashed} style={{ '--swatch': `var(${colour})` }}>
            {label} <b>{values[index] == null ? '–' : format(values[index])}</b>
          </span>
        ))}
      </p>
    </>
  );
}

function optionsOf(
  {
    curves,
    log,
    height,
    format,
    until,
  }: Required<Pick<ChartProps, 'curves' | 'log' | 'height' | 'format'>> & {
    readonly until: number | undefined;
  },
  width: number,
): uPlot.Options {
  const [ink, line] = [variable('--dim'), variable('--line')];
  const axis: uPlot.Axis = {
    ...{ stroke: ink, font: FONT },
    grid: { stroke: line, width: 1 },
    ticks: { show: false },
  };
  return {
    width,
    height,
    padding: [8, 12, 0, 0],
    cursor: { y: false, points: { size: 7 }, drag: { x: true, y: false } },
    legend: { show: false },
    scales: {
      x: { time: false, range: (u, low, high) => xRange(u, low, high, until) },
      y: log ? { distr: 3, range: roomyLog } : { range: roomy },
    },
    axes: [
      { ...axis, size: 30, space: 60, values: (_, ticks) => ticks.map((t) => (Number.isInteger(t) ? String(t) : '')) },
      {
        ...{ ...axis, size: 58, values: (_, ticks) => ticks.map(format) },
        // All of them: which to leave out is settled by `logTicks`.
        ...(log ? { splits: (_, __, low, high) => logTicks(low, high), filter: (_, ticks) => ticks } : {}),
      },
    ],
    series: [
      {},
      ...curves.map(({ colour, faint, dots, dashed }): uPlot.Series => {
        const stroke = variable(colour);
        return {
          stroke: faint ? `color-mix(in srgb, ${stroke} 30%, transparent)` : stroke,
          width: faint ? 1 : 2,
          ...(dashed ? { dash: [6, 4] } : {}),
          points: { show: dots ?? false, size: 5, fill: stroke },
          spanGaps: true,
        };
      }),
    ],
  };
}

/** All rounds of the run, or those that were chosen by dragging. */
function xRange({ data: [x] }: uPlot, low: number | null, high: number | null, until = 0): [number, number] {
  const [first = 0, last = 1] = [x?.[0], x?.at(-1)];
  const isAll = low === null || high === null || low <= first;
  return isAll && (high === null || high >= last) ? [first, Math.max(last, until, first + 1)] : [low ?? 0, high ?? 1];
}

/** A little room above and below, and some height where a curve is flat. */
function roomy(_: uPlot, low: number | null, high: number | null): [number, number] {
  const [a, b] = extent([low, high]) ?? [0, 1];
  const room = (b - a) * 0.06 || Math.abs(b) * 0.1 || 1;
  return [a >= 0 && a - room < 0 ? 0 : a - room, b + room];
}

function roomyLog(_: uPlot, low: number | null, high: number | null): [number, number] {
  const [a, b] = extent([low, high]) ?? [1, 10];
  const room = Math.max((b / a) ** 0.06, 1.1);
  return [a / room, b * room];
}
